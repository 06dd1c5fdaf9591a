"""Markdown from words that the world chose: none of them becomes a tag, a link, a heading or a cell.

Called by record_sections and render.
Everything that is not a literal of this program goes through `text`, `code` or `fence`.
"""

import re
from collections.abc import Iterable, Sequence

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
_SPECIAL = re.compile(
    r"[\\`*\[\]<>|~&#$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.|^[-+=!](?=.)|(?<=^\d)[.)](?= )"
)
_BACKTICKS = re.compile("`+")


def text(words: str) -> str:
    """Words inside of a paragraph or a cell, on one line."""
    line = " ".join(_CONTROL.sub(" ", words).split())
    return _SPECIAL.sub(lambda found: "\\" + found[0], line)


def code(words: str) -> str:
    """A name in monospace; also safe in a cell of a table."""
    line = " ".join(_CONTROL.sub(" ", words).split()) or " "
    ticks = "`" * (_longest_run(line) + 1)
    # A bar ends a cell even inside of a code span, unless it is escaped.
    inner = line.replace("|", "\\|")
    return f"{ticks} {inner} {ticks}" if "`" in line else f"{ticks}{inner}{ticks}"


def fence(words: str, language: str = "text") -> list[str]:
    """A block of text as it is, but for control characters; as lines."""
    lines = [_CONTROL.sub("\N{REPLACEMENT CHARACTER}", line.expandtabs(4)) for line in words.split("\n")]
    ticks = "`" * max(3, _longest_run(words) + 1)
    return [f"{ticks}{language}", *lines, ticks]


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table as lines; the cells are Markdown already."""
    rule = [":--" for _ in headers]
    return [f"| {' | '.join(row)} |" for row in (headers, rule, *rows)]


def _longest_run(words: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(words)), default=0)
