"""What every command prints with: one JSON document, or text that reads well at 80 columns; for all of cli.

Data goes to stdout, everything else to stderr. Text from the world (process names, messages, file names) goes
through `plain`, so that no escape sequence in it reaches a terminal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import os
import pathlib
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO, TypeVar

import click

from lastack import errors, settings

API_VERSION = "lastack.dev/v1alpha1"

_WIDTH_WHEN_PIPED = 80
_NARROWEST_WRAP = 16
_GAP = "  "
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")

F = TypeVar("F", bound=Callable[..., Any])


class Tone(enum.Enum):
    """What a coloured word means; the colours are chosen here and nowhere else."""

    GOOD = "green"
    WARN = "yellow"
    BAD = "red"
    ACT = "cyan"
    QUIET = "bright_black"
    STRONG = "white"


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """A table cell with a tone; a bare string is a cell without one."""

    text: str
    tone: Tone | None = None


def output_option(*formats: str) -> Callable[[F], F]:
    """The `-o/--output` option; the first format is the default. The command's parameter is `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help=f"{formats[0]} for people, the others for programs."
        if formats[0] == "text"
        else "For programs.",
    )


def state_dir_option(command: F) -> F:
    """The `--state-dir` option of every command that reads or writes state; the parameter is `state_dir`.

    Whether it may be read is for those who read it to say: that is a matter of rights, not of usage.
    """
    decorate = click.option(
        "--state-dir",
        type=click.Path(path_type=pathlib.Path, file_okay=False, readable=False),
        default=settings.STATE_DIR,
        show_default=True,
        help="Where lastack keeps its ledger, evidence and records.",
    )
    return decorate(command)


def json_document(kind: str, body: Mapping[str, Any]) -> None:
    """Print the one JSON document of a command: apiVersion, kind, then the fields of `body` in order."""
    document = {"apiVersion": API_VERSION, "kind": kind, **body}
    _out(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2))


def json_line(value: Mapping[str, Any]) -> None:
    """Print one line of `-o jsonl`."""
    _out(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def text(line: str = "") -> None:
    """Print a line of data on stdout; colours are dropped where they are not wanted."""
    _out(line if coloured(sys.stdout) else click.unstyle(line))


def note(line: str) -> None:
    """Print a line for people on stderr."""
    click.echo(line if coloured(sys.stderr) else click.unstyle(line), err=True, color=True)


def complain(error: errors.LastackError) -> None:
    """Print an error on stderr: what happened, then the next step if one is known."""
    note(f"{tinted('lastack:', Tone.BAD)} {lines(error.message)}")
    if error.fix:
        note(f"  next step: {lines(error.fix)}")


def tinted(word: str, tone: Tone | None) -> str:
    """`word` in the colour of its tone; what prints it decides whether colours are wanted."""
    if tone is None:
        return word
    return click.style(word, bold=True) if tone is Tone.STRONG else click.style(word, fg=tone.value)


def coloured(stream: TextIO) -> bool:
    """Whether colours are wanted there: a terminal that is not dumb, and NO_COLOR is not set."""
    return wants_colours() and stream.isatty()


def wants_colours() -> bool:
    """Whether whoever called would have colours on a terminal."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return max(shutil.get_terminal_size((_WIDTH_WHEN_PIPED, 24)).columns, 40)


def plain(words: str) -> str:
    """Text from the world on one line without control characters, direction marks or half characters."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", words)


def lines(words: str) -> str:
    """The same for text of several lines."""
    return "\n".join(plain(line) for line in words.split("\n"))


def table(headers: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> None:
    """Print a table: columns as wide as their content, the last one wrapped into the room that is left.

    A table that is too wide even so gets its widest other column cut, ending in an ellipsis.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    plains = [[plain(cell.text) for cell in row] for row in cells]
    widths = _fit(
        [max(len(line[i]) for line in [list(headers), *plains]) for i in range(len(headers))], width()
    )
    _row([Cell(header, Tone.QUIET) for header in headers], list(headers), widths)
    for row, words in zip(cells, plains, strict=True):
        _row(row, words, widths)


def _fit(natural: list[int], room: int) -> list[int]:
    widths = list(natural)
    gaps = len(_GAP) * (len(widths) - 1)
    over = sum(widths) + gaps - room
    if over > 0 and widths[-1] > _NARROWEST_WRAP:
        given = min(over, widths[-1] - _NARROWEST_WRAP)
        widths[-1] -= given
        over -= given
    while over > 0 and max(widths[:-1], default=0) > _NARROWEST_WRAP:
        widest = widths.index(max(widths[:-1]))
        widths[widest] -= 1
        over -= 1
    return widths


def _row(cells: Sequence[Cell], words: Sequence[str], widths: Sequence[int]) -> None:
    *first, last = words
    wrapped = textwrap.wrap(last, widths[-1], break_on_hyphens=False) or [""]
    shown = [
        tinted(_cut(word, size).ljust(size), cell.tone)
        for word, size, cell in zip(first, widths, cells, strict=False)
    ]
    text(_GAP.join([*shown, tinted(wrapped[0], cells[-1].tone)]).rstrip())
    indent = sum(widths[:-1]) + len(_GAP) * len(first)
    for more in wrapped[1:]:
        text(" " * indent + tinted(more, cells[-1].tone))


def _cut(word: str, size: int) -> str:
    return word if len(word) <= size else word[: size - 1] + "…"


def _out(line: str) -> None:
    with writing():
        sys.stdout.flush()
        # Bytes, because stdout may have a narrower encoding than the world has letters.
        click.echo(_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", line).encode())


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Raise NotReachable where stdout cannot be written; a reader that has left is none of that."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        # What is still buffered is given up, or the interpreter fails on it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise errors.NotReachable(
            f"the answer cannot be written to stdout: {problem.strerror}",
            fix="free some space where it goes, or send it elsewhere",
        ) from problem
