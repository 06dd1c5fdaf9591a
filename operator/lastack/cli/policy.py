"""`lastack policy`: commands about policy files, for the person who writes them. Called by cli (lazily)."""

import pathlib
from collections.abc import Iterable

import click

from lastack.cli import printing
from lastack.policy import problems
from lastack.stores import policy_files


@click.group()
def policy_group() -> None:
    """Check policy files."""


@policy_group.command(short_help="Say everything that is wrong with policy files.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(path_type=pathlib.Path, readable=False),
)
@printing.output_option("text", "json")
@click.option("--strict", is_flag=True, help="Exit with 1 when there are warnings.")
def check(files: tuple[pathlib.Path, ...], output: str, *, strict: bool) -> None:
    """Say everything that is wrong with policy files, each with its line and column.

    A directory stands for its *.yaml. Exit status: 0 valid, 1 warnings and --strict, 2 invalid.
    """
    from lastack.policy import loading  # carries yaml and pydantic, which `--help` does without

    contents, found = _read(files)
    found += loading.load(contents).problems
    found.sort()
    if output == "json":
        printing.json_document("PolicyProblems", {"problems": [_fields(problem) for problem in found]})
    else:
        for problem in found:
            printing.text(printing.plain(str(problem)))
    printing.note(_summary(found, len(contents)))
    raise SystemExit(2 if problems.has_errors(found) else 1 if strict and found else 0)


def _read(files: Iterable[pathlib.Path]) -> tuple[dict[str, bytes], list[problems.Problem]]:
    """The content of every file by name, and what is wrong with the files as files."""
    contents: dict[str, bytes] = {}
    found: list[problems.Problem] = []
    for given in files:
        each = [given]
        if given.is_dir():
            each, unread = policy_files.directory_files(given)
            found += unread
        for file in each:
            source = policy_files.read_source(file)
            if isinstance(source, problems.Problem):
                found.append(source)
            elif source.name not in contents:
                contents[source.name] = source.content
                found += policy_files.insecure(
                    source.name, source.owner, source.mode, problems.Severity.WARNING
                )
    return contents, found


def _fields(problem: problems.Problem) -> dict[str, str | int | None]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "severity": problem.severity,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint or None,
    }


def _summary(found: list[problems.Problem], files: int) -> str:
    errors = sum(problem.severity is problems.Severity.ERROR for problem in found)
    return f"{_counted(errors, 'error')}, {_counted(len(found) - errors, 'warning')} in {_counted(files, 'file')}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
