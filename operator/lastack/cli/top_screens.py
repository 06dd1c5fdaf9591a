"""The whole screen of `lastack top` as lines of text; pure. Called by cli.top, which knows the time and the keys."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

import click

from lastack import quantities
from lastack.cli import diagnosis_texts, printing, top_looks, top_rows, top_tables, top_views
from lastack.engine import samples
from lastack.policy import vocabulary

_Tone = printing.Tone
_Severity = vocabulary.Severity
_COLOURS = re.compile(r"\x1b\[(?!7m|0m)[0-9;]*m")
"""Every attribute but reversed letters, which are no colour, and their end."""

_HELP = """\
Keys
  up, down, PgUp, PgDn, Home, End   choose a listener
  Enter        all about it: evidence, what can help, what cannot and why
  / F3 F4      show only rows with these words (address, owner, diagnosis)
  s F6         sort by the next column: trouble, queue, drops, CLOSE_WAIT,
               files, port, owner
  Space        hold still; looks go on when you press it again
  t            show the network namespace of each listener
  + -          look less or more often
  h ? F1       this page
  q F10 Esc    leave; nothing was changed

Columns
  QUEUE      connections that wait for accept(), of so many that may
  DROP/S     connection attempts that this listener dropped, per second
  CLOSEWAIT  the client has closed and the application has not, by class:
             queued (not accepted), unread (accepted, its end not read),
             held (read and not closed), outbound (the process is the client)
  FD%        open files by their limit
  DIAGNOSIS  which disease, and its cause where it is known

A dash is a number that cannot be seen; Enter says why. The second line adds
up all listeners; what it calls ambient is counted by the kernel for whole
namespaces and belongs to no one listener."""


def render(
    view: top_views.View, table: top_looks.Table | None, size: tuple[int, int], *, coloured: bool
) -> list[str]:
    """The screen, at most as many lines as there are rows, none wider than the screen."""
    width, height = size
    if width < top_tables.NARROWEST:
        words = f"lastack top needs {top_tables.NARROWEST} columns; this terminal has {width}"
        return [words[at : at + width] for at in range(0, len(words), max(width, 1))][:height]
    if table is None:
        return [_painted([("looking ...", _Tone.QUIET)], width)]
    lines = _head(view, table, width)
    room = max(0, height - len(lines) - 1)
    match view.pane:
        case top_views.Pane.TABLE:
            lines += _table(view, table, width, room)
        case top_views.Pane.DETAILS:
            lines += _page(_details(view, table, width), view, room)
        case top_views.Pane.HELP:
            lines += _page([line[:width] for line in _HELP.splitlines()], view, room)
    lines += [""] * (height - 1 - len(lines))
    lines = [*lines[: height - 1], _foot(view, width)]
    return lines if coloured else [_COLOURS.sub("", line) for line in lines]


def room_for_rows(view: top_views.View, table: top_looks.Table | None, size: tuple[int, int]) -> int:
    """How many rows, or lines of another pane, the screen has room for."""
    if table is None:
        return 1
    titles = 1 if view.pane is top_views.Pane.TABLE else 0
    return max(1, size[1] - len(_head(view, table, size[0])) - 1 - titles)


def _head(view: top_views.View, table: top_looks.Table, width: int) -> list[str]:
    rows = table.rows
    sick = {
        severity: sum(1 for row in rows if row.finding.severity is severity)
        for severity in (_Severity.CRITICAL, _Severity.WARNING)
    }
    listeners = sum(1 for row in rows if row.item.window is not None)
    spaces = f" in {len(table.namespaces)} namespaces" if len(table.namespaces) > 1 else ""
    first: list[top_tables.Painted] = [
        ("lastack top", _Tone.STRONG),
        (f"  {table.at.astimezone():%H:%M:%S}", None),
        (f"  {listeners} listener{'' if listeners == 1 else 's'}{spaces}: ", None),
        (f"{sick[_Severity.CRITICAL]} critical", _Tone.BAD if sick[_Severity.CRITICAL] else None),
        (", ", None),
        (f"{sick[_Severity.WARNING]} warning", _Tone.WARN if sick[_Severity.WARNING] else None),
    ]
    if view.paused:
        first.append(("  PAUSED", _Tone.WARN))
    if view.words and not view.typing:
        first.append((f"  only: {printing.plain(view.words)}", _Tone.ACT))
    first.append((f"  every {quantities.short(view.every)}", _Tone.QUIET))
    lines = [_painted(_fitting(first, width), width), _painted(_fitting(_sums(table), width), width)]
    if table.missing:
        lines.append(_painted([("not seen: " + _missing(table.missing), _Tone.WARN)], width))
    return lines


def _sums(table: top_looks.Table) -> list[top_tables.Painted]:
    rows = table.rows
    waiting = sum(row.depth or 0 for row in rows)
    drops = sum(row.drops or 0.0 for row in rows)
    classes = "/".join(
        str(sum(counts))
        for counts in (
            [row.queued or 0 for row in rows],
            [row.unread or 0 for row in rows],
            [row.held or 0 for row in rows],
            # Every listener of a process counts all that the process has.
            {row.pid: row.outbound or 0 for row in rows}.values(),
        )
    )
    found = table.ambient
    return [
        (f"waiting {waiting}", _Tone.STRONG if waiting else None),
        (f"  drops {drops:.1f}/s", _Tone.BAD if drops else None),
        (f"  CLOSE_WAIT {classes}", None),
        (f"  ambient drops {_rate(found.drops)}", _Tone.QUIET),
        (f"  overflows {_rate(found.overflows)}", _Tone.QUIET),
        (f"  SYN cookies {_rate(found.cookies)}", _Tone.QUIET),
    ]


def _table(view: top_views.View, table: top_looks.Table, width: int, room: int) -> list[str]:
    columns = top_tables.layout(width, netns=view.netns)
    rows = top_rows.arranged(table.rows, view.order, view.words)
    lines = [top_tables.header(columns, view.order)]
    at = top_views.index_of(view, rows)
    for number, row in enumerate(rows[view.top : view.top + room - 1], view.top):
        lines.append(top_tables.line(row, columns, selected=number == at))
    if not rows:
        nothing = "nothing could be seen" if table.missing else "no listeners"
        lines.append(f"no row has {view.words!r}"[:width] if table.rows else nothing)
    return lines


def _details(view: top_views.View, table: top_looks.Table, width: int) -> list[str]:
    row = next((each for each in table.rows if each.key == view.selected), None)
    if row is None:
        gone = "It is gone: nothing listens there any more, or its owner is another process."
        return ["", *textwrap.wrap(gone, width)]
    lines = ["", *(_cut(each, width) for each in diagnosis_texts.paragraphs(row.item, width))]
    values = [
        (name.value, "-" if isinstance(value, samples.Missing) else f"{value:g}")
        for name, value in row.finding.signals.items()
    ]
    lines += ["", printing.tinted("  all signals", _Tone.QUIET)]
    lines += [f"  {name:<24}{value:>12}"[:width] for name, value in values]
    why = dict.fromkeys(
        each.why for each in row.finding.signals.values() if isinstance(each, samples.Missing)
    )
    lines += ["", *(f"  -: {printing.plain(each)}"[:width] for each in why)]
    return lines


def _cut(line: str, width: int) -> str:
    """A line with colours; one that is too long, which only a name can be, loses its end and its colours."""
    plain = click.unstyle(line)
    return line if len(plain) <= width else plain[:width]


def _page(lines: Sequence[str], view: top_views.View, room: int) -> list[str]:
    """As much of it as fits; never scrolled beyond its end."""
    start = min(view.scrolled, max(0, len(lines) - room))
    return list(lines[start : start + room])


def _foot(view: top_views.View, width: int) -> str:
    if view.typing:
        return _painted([(f"only rows with: {printing.plain(view.words)}_", _Tone.STRONG)], width)
    keys = [("F10", "Quit"), ("Enter", "Back"), ("F1", "Help")]
    if view.pane is top_views.Pane.TABLE:
        sort = view.order.value.replace("_", " ")
        keys = [
            ("F1", "Help"),
            ("F10", "Quit"),
            ("Enter", "Details"),
            ("F4", "Filter"),
            ("F6", f"Sort:{sort}"),
            ("Space", "Go on" if view.paused else "Pause"),
            ("t", "Netns"),
            ("+-", "Every"),
        ]
    shown, used = "", 0
    for key, label in keys:
        if used + len(key) + len(label) + 1 > width:
            break
        shown += f"{key}{top_tables.reversed_line(label)} "
        used += len(key) + len(label) + 1
    return shown


def _painted(parts: Iterable[top_tables.Painted], width: int) -> str:
    """The words in their colours, cut at the edge of the screen."""
    line, left = "", width
    for words, tone in parts:
        line += printing.tinted(words[:left], tone) if left else ""
        left = max(0, left - len(words))
    return line


def _fitting(parts: Sequence[top_tables.Painted], width: int) -> list[top_tables.Painted]:
    """As many of the parts, from the first on, as fit whole."""
    kept, used = [], 0
    for words, tone in parts:
        used += len(words)
        if used > width:
            break
        kept.append((words, tone))
    return kept


def _missing(missing: Sequence[tuple[str, samples.Missing]]) -> str:
    what, why = missing[0]
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    return printing.plain(f"{what}{more}: {why.why}" + (f"; {why.fix}" if why.fix else ""))


def _rate(per_second: float | None) -> str:
    return "-" if per_second is None else f"{per_second:.1f}/s"
