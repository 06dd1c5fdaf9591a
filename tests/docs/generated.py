"""The parts of pages that the code itself writes: `.venv/bin/python -m tests.docs.generated` renews them.

In a page such a part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`.
"""

import ast
import inspect
import itertools
import pathlib
import tomllib
from collections.abc import Callable, Iterator, Mapping

import click

from lastack import cli
from lastack.engine import ladder, reasons, thresholds
from lastack.policy import sysctls
from tests.corpus import tables
from tests.docs import pages
from tests.machines import kernels


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command with its full name, depth first, in the order of the help."""
    with click.Context(cli.group, info_name="lastack") as root:
        yield from _below(cli.group, root)


def _below(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield inner.command_path, command, inner
        if isinstance(command, click.Group):
            yield from _below(command, inner)


def _commands() -> str:
    return "\n".join(_command(*found) for found in commands() if not isinstance(found[1], click.Group))


def _command(name: str, command: click.Command, context: click.Context) -> str:
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    said = inspect.cleandoc(command.help or "").replace("\b\n", "")
    lines = [f"## {name}", "", "```text", usage, "```", "", said, ""]
    records = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    rows = [
        f"| `{_cell(options)}` | {_cell(meaning)} |"
        for options, meaning in records
        if options != "--help" and meaning
    ]
    if rows:
        lines += ["| option | meaning |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")


def _reasons() -> str:
    rows = [f"| `{reason}` | {_cell(meaning)} |" for reason, meaning in reasons.MEANINGS.items()]
    return "\n".join(["| reason | meaning |", "|---|---|", *rows])


def _thresholds() -> str:
    """Each constant of the module with the docstring that stands below it."""
    body = ast.parse(inspect.getsource(thresholds)).body
    rows = []
    for statement, below in itertools.pairwise(body):
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        name = statement.targets[0].id
        assert isinstance(below, ast.Expr), f"{name} has no docstring with its reason"
        assert isinstance(below.value, ast.Constant), f"{name} has no docstring with its reason"
        value = getattr(thresholds, name)
        shown = f"{value.total_seconds():g} s" if hasattr(value, "total_seconds") else f"{value:g}"
        rows.append(f"| `{name}` | {shown} | {_cell(str(below.value.value))} |")
    return "\n".join(["| threshold | value | reason |", "|---|---|---|", *rows])


def _sysctls() -> str:
    rows = []
    for entry in sysctls.CATALOGUE.values():
        helps = ", ".join(f"`{code}`" for code in sorted(entry.helps)) or "none"
        rows.append(
            f"| `{entry.name}` | {_cell(entry.acts_on)} | {entry.takes_effect} | {entry.scope} | {helps} |"
        )
    head = ["| setting | acts on | takes effect | scope | can help against |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _layers() -> str:
    found = tomllib.loads((pages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = found["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    return "\n".join(["```text", *(layer.replace("(", "").replace(")", "") for layer in layers), "```"])


def _ladder() -> str:
    return f"```mermaid\n{ladder.mermaid()}\n```"


PARTS: Mapping[str, tuple[pathlib.Path, Callable[[], str]]] = {
    "commands": (pages.DOCS / "reference" / "commands.md", _commands),
    "reasons": (pages.DOCS / "reference" / "reasons.md", _reasons),
    "thresholds": (pages.DOCS / "reference" / "thresholds.md", _thresholds),
    "sysctls": (pages.DOCS / "explanation" / "diagnosis.md", _sysctls),
    "layers": (pages.DOCS / "explanation" / "architecture.md", _layers),
    "corpus-summary": (pages.DOCS / "reference" / "corpus.md", tables.summary),
    "corpus": (pages.DOCS / "reference" / "corpus.md", tables.matrix),
    "corpus-conditions": (pages.DOCS / "reference" / "corpus.md", tables.stories),
    "kernels": (pages.DOCS / "reference" / "kernels.md", kernels.table),
    "ladder": (pages.DOCS / "explanation" / "architecture.md", _ladder),
}
"""Name of the part -> the page that holds it, and what it has to say."""


def renewed(page: pathlib.Path, name: str, part: str) -> str:
    """The page with that part replaced."""
    begin, end = f"<!-- generated: {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = pages.text(page).partition(begin)
    _, closed, after = rest.partition(end)
    assert found, f"{page.relative_to(pages.ROOT)} has no part {name!r}"
    assert closed, f"the part {name!r} of {page.relative_to(pages.ROOT)} does not end"
    return f"{before}{begin}\n{part.strip()}\n\n{end}{after}"


def main() -> None:
    """Write every part into its page."""
    for name, (page, part) in PARTS.items():
        page.write_text(renewed(page, name, part()), encoding="utf-8")


if __name__ == "__main__":
    main()
