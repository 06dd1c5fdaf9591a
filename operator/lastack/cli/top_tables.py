"""The table of `lastack top`: columns by the width there is, queue bars, shortened words; pure. Called by top_screens.

Each line is exactly as wide as the screen or narrower; colours are put around words that are already cut.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from lastack.cli import printing, top_rows
from lastack.policy import vocabulary

NARROWEST = 40
"""Columns below which nothing useful can be shown."""

_Tone = printing.Tone
_SEVERITY_TONES = {
    vocabulary.Severity.CRITICAL: _Tone.BAD,
    vocabulary.Severity.WARNING: _Tone.WARN,
    vocabulary.Severity.NONE: None,
}
_REVERSE, _PLAIN = "\x1b[7m", "\x1b[0m"
_THOUSAND = 1000
_SMALL_RATE = 100

Painted = tuple[str, printing.Tone | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """How wide each column is, 0 for one that is left out; the diagnosis takes what is left."""

    listener: int
    owner: int
    netns: int
    queue: int
    drops: int
    close_wait: int
    files: int
    diagnosis: int


def layout(width: int, *, netns: bool) -> Layout:
    """The columns that fit, the diagnosis always among them."""
    listener, owner, queue, drops, close_wait, files = next(
        columns for least, columns in _LAYOUTS if width >= least
    )
    inode = 10 if netns and width >= 80 else 0
    if inode and width < 100:
        files = 0
    fixed = (listener, owner, inode, queue, drops, close_wait, files)
    left = width - sum(fixed) - sum(1 for size in fixed if size)
    return Layout(*fixed, diagnosis=left)


_LAYOUTS = (
    (120, (21, 26, 18, 7, 13, 5)),
    (100, (18, 18, 14, 7, 11, 5)),
    (80, (15, 12, 11, 6, 9, 4)),
    (60, (15, 0, 11, 6, 9, 0)),
    (0, (15, 0, 9, 0, 0, 0)),
)
"""Least width, and then the widths of listener, owner, queue, drops, CLOSE_WAIT and files."""


def header(columns: Layout, order: top_rows.Order) -> str:
    """The titles, reversed; the one by which rows are sorted has a mark."""
    return reversed_line(titles(columns, order))


def titles(columns: Layout, order: top_rows.Order | None = None) -> str:
    """The titles alone."""
    orders = top_rows.Order
    found = [
        _title("LISTENER", columns.listener, order is orders.PORT),
        _title("OWNER", columns.owner, order is orders.OWNER),
        _title("NETNS", columns.netns, marked=False),
        _title("QUEUE", columns.queue, order is orders.QUEUE),
        _title("DROP/S" if columns.drops < 7 else "DROPS/S", columns.drops, order is orders.DROPS),
        _title(
            "CLOSEWAIT" if columns.close_wait < 11 else "CW q/u/h/o",
            columns.close_wait,
            order is orders.CLOSE_WAIT,
        ),
        _title("FD%", columns.files, order is orders.FILES),
        _title("DIAGNOSIS", columns.diagnosis, order is orders.TROUBLE),
    ]
    return " ".join(title for title in found if title)


def line(row: top_rows.Row, columns: Layout, *, selected: bool) -> str:
    """One row; the selected one is reversed as a whole."""
    makers: Sequence[tuple[int, Callable[[int], list[Painted]]]] = (
        (columns.listener, lambda size: [(_address(row.where, size).ljust(size), None)]),
        (columns.owner, lambda size: [(_owner(row, size).ljust(size), None)]),
        (columns.netns, lambda size: [(_shown(row.netns).rjust(size)[:size], _Tone.QUIET)]),
        (columns.queue, lambda size: _bar(row, size)),
        (columns.drops, lambda size: [(_rate(row.drops).rjust(size), _Tone.BAD if row.drops else None)]),
        (columns.close_wait, lambda size: [(_classes(row, size).rjust(size), None)]),
        (columns.files, lambda size: [(_percent(row.files).rjust(size), _files_tone(row))]),
        (columns.diagnosis, lambda size: [(_cut(row.diagnosis, size).ljust(size), _diagnosis_tone(row))]),
    )
    cells = [make(size) for size, make in makers if size]
    if selected:
        return reversed_line(" ".join("".join(word for word, _ in cell) for cell in cells))
    return " ".join("".join(printing.tinted(word, tone) for word, tone in cell) for cell in cells)


def reversed_line(words: str) -> str:
    """Words on the colour that letters have else."""
    return f"{_REVERSE}{words}{_PLAIN}"


def _title(word: str, size: int, marked: bool) -> str:  # noqa: FBT001 - which of the titles it is
    return (_cut(word, size - 1) + "▼" if marked else _cut(word, size)).ljust(size) if size else ""


def _bar(row: top_rows.Row, size: int) -> list[Painted]:
    """`[|||  51/50]`: the depth by the limit, as a length and in numbers."""
    if row.depth is None or row.limit is None:
        return [("-".rjust(size), None)]
    room = size - 2
    numbers = f"{row.depth}/{row.limit}"
    if len(numbers) > room:
        numbers = f"{_compact(row.depth)}/{_compact(row.limit)}"[:room]
    full = min(room, max(round(min(row.fill, 1.0) * room), 1 if row.depth else 0))
    inside = ("|" * full).ljust(room)
    inside = inside[: room - len(numbers)] + numbers
    tone = _Tone.BAD if row.fill >= 1 else _Tone.WARN if row.fill >= 0.5 else _Tone.GOOD
    return [("[", None), (inside[:full], tone), (inside[full:] + "]", None)]


def _address(where: str, size: int) -> str:
    """A long address loses its end, never its port."""
    if len(where) <= size:
        return where
    host, colon, port = where.rpartition(":")
    return f"{host[: max(0, size - len(port) - 2)]}…{colon}{port}"[:size]


def _owner(row: top_rows.Row, size: int) -> str:
    """A long name loses its end, never its pid."""
    if row.command is None or len(row.owner) <= size:
        return _cut(row.owner, size)
    pid, command = str(row.pid), printing.plain(row.command)
    room = size - len(pid) - 1
    if len(command) <= room:
        return _cut(row.owner, size)
    return f"{_cut(command, room)} {pid}"[:size]


def _classes(row: top_rows.Row, size: int) -> str:
    """Queued, unread, held, outbound; their sum where there is no room for each."""
    counts = (row.queued, row.unread, row.held, row.outbound)
    for shown in (map(_shown, counts), map(_compact, counts)):
        text = "/".join(shown)
        if len(text) <= size:
            return text
    return _compact(row.close_wait)


def _shown(count: int | None) -> str:
    return "-" if count is None else str(count)


def _compact(count: int | None) -> str:
    if count is None or count < _THOUSAND:
        return _shown(count)
    return f"{count // _THOUSAND}k" if count < _THOUSAND**2 else f"{count // _THOUSAND**2}M"


def _rate(per_second: float | None) -> str:
    if per_second is None:
        return "-"
    if not per_second:
        return "0"
    return f"{per_second:.1f}" if per_second < _SMALL_RATE else _compact(round(per_second))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.0f}%"


def _files_tone(row: top_rows.Row) -> printing.Tone | None:
    return _Tone.WARN if row.files is not None and row.files >= 0.9 else None


def _diagnosis_tone(row: top_rows.Row) -> printing.Tone | None:
    codes = vocabulary.DiagnosisCode
    tones = {codes.HEALTHY: _Tone.GOOD, codes.UNKNOWN: _Tone.WARN}
    return tones.get(row.finding.code, _SEVERITY_TONES[row.finding.severity])


def _cut(words: str, size: int) -> str:
    return words if len(words) <= size else words[: max(0, size - 1)] + "…"
