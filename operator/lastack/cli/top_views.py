"""What a person has chosen in `lastack top`, and what each key changes of it; pure. For cli.top and top_screens."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections.abc import Callable, Mapping, Sequence

from lastack.cli import top_keys, top_rows

INTERVALS = tuple(dt.timedelta(milliseconds=ms) for ms in (500, 1000, 2000, 5000, 10_000))
"""What + and - go through: from look to look."""

_Key = top_keys.Key


class Pane(enum.Enum):
    """What fills the screen below the header."""

    TABLE = "table"
    DETAILS = "details"
    HELP = "help"


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """The state of the screen; `quits` once it is to end.

    `selected` is the key of a row: it stays on its listener, wherever sorting puts it. `top` is the first row that is
    shown, `scrolled` the first line of another pane.
    """

    every: dt.timedelta
    order: top_rows.Order = top_rows.Order.TROUBLE
    words: str = ""
    typing: bool = False
    paused: bool = False
    netns: bool = False
    pane: Pane = Pane.TABLE
    selected: tuple[object, ...] | None = None
    top: int = 0
    scrolled: int = 0
    quits: bool = False


def pressed(view: View, key: top_keys.Pressed, rows: Sequence[top_rows.Row], height: int) -> View:
    """The view after a key; `rows` are those that are shown, `height` is how many fit."""
    if view.typing:
        return _typed(view, key)
    if view.pane is not Pane.TABLE:
        return _in_pane(view, key, height)
    if key in _MOVES:
        return moved(view, rows, height, by=_MOVES[key](height, len(rows)))
    if key is _Key.ENTER:
        if not rows:
            return view
        chosen = rows[index_of(view, rows)].key
        return dataclasses.replace(view, pane=Pane.DETAILS, selected=chosen, scrolled=0)
    return _common(view, key)


def moved(view: View, rows: Sequence[top_rows.Row], height: int, *, by: int = 0) -> View:
    """The view with the selection so many rows further down, and the table scrolled so that it is seen.

    With `by` 0 it only follows what has changed below it.
    """
    if not rows:
        return dataclasses.replace(view, selected=None, top=0)
    at = index_of(view, rows)
    at = min(max(at + by, 0), len(rows) - 1)
    top = min(max(view.top, at - height + 1), at)
    top = max(0, min(top, len(rows) - height))
    # At the head of the table nobody has chosen a row yet: what comes first is what one looks at.
    selected = view.selected if by == 0 and view.selected is None else rows[at].key
    return dataclasses.replace(view, selected=selected, top=top)


def index_of(view: View, rows: Sequence[top_rows.Row]) -> int:
    """The number of the selected row; the first when nothing is selected, or it is gone."""
    return next((number for number, row in enumerate(rows) if row.key == view.selected), 0)


_MOVES: Mapping[top_keys.Pressed, Callable[[int, int], int]] = {
    _Key.UP: lambda _height, _count: -1,
    "k": lambda _height, _count: -1,
    _Key.DOWN: lambda _height, _count: 1,
    "j": lambda _height, _count: 1,
    _Key.PAGE_UP: lambda height, _count: -height,
    _Key.PAGE_DOWN: lambda height, _count: height,
    _Key.HOME: lambda _height, count: -count,
    _Key.END: lambda _height, count: count,
}


def _common(view: View, key: top_keys.Pressed) -> View:
    """The keys that do not depend on the rows."""
    match key:
        case "q" | _Key.F10 | _Key.ESCAPE:
            return dataclasses.replace(view, quits=True)
        case "h" | "?" | _Key.F1:
            return dataclasses.replace(view, pane=Pane.HELP, scrolled=0)
        case " ":
            return dataclasses.replace(view, paused=not view.paused)
        case "s" | _Key.F6:
            return dataclasses.replace(view, order=_next(view.order), selected=None, top=0)
        case "/" | _Key.F3 | _Key.F4:
            return dataclasses.replace(view, typing=True)
        case "t":
            return dataclasses.replace(view, netns=not view.netns)
        case "+" | "-":
            return dataclasses.replace(view, every=_step(view.every, longer=key == "+"))
        case _:
            return view


def _in_pane(view: View, key: top_keys.Pressed, height: int) -> View:
    if key in {"q", _Key.ESCAPE, _Key.ENTER, _Key.F10}:
        return dataclasses.replace(view, pane=Pane.TABLE)
    if key in {"h", "?", _Key.F1}:
        return dataclasses.replace(view, pane=Pane.TABLE if view.pane is Pane.HELP else Pane.HELP, scrolled=0)
    if key == " ":
        return dataclasses.replace(view, paused=not view.paused)
    if key in _MOVES:
        # How many lines there are is known where they are drawn, which does not go beyond them.
        return dataclasses.replace(view, scrolled=max(0, view.scrolled + _MOVES[key](height, 10_000)))
    return view


def _typed(view: View, key: top_keys.Pressed) -> View:
    match key:
        case _Key.ENTER:
            return dataclasses.replace(view, typing=False)
        case _Key.ESCAPE:
            return dataclasses.replace(view, typing=False, words="", top=0)
        case _Key.ERASE:
            return dataclasses.replace(view, words=view.words[:-1], top=0)
        case str():
            return dataclasses.replace(view, words=view.words + key, top=0)
        case _:
            return view


def _next(order: top_rows.Order) -> top_rows.Order:
    every = list(top_rows.Order)
    return every[(every.index(order) + 1) % len(every)]


def _step(every: dt.timedelta, *, longer: bool) -> dt.timedelta:
    if longer:
        return min((span for span in INTERVALS if span > every), default=every)
    return max((span for span in INTERVALS if span < every), default=every)
