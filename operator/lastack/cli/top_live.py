"""`lastack top` until a key ends it: look, draw, wait for keys. Called by cli.top."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Iterator

from lastack import errors
from lastack.cli import printing, terminals, top_looks, top_rows, top_screens, top_tables, top_views
from lastack.kernel import clocks, features
from lastack.policy import sysctls
from lastack.sensors import places, rounds, sampler


def show(wanted: places.Wanted, every: dt.timedelta) -> None:
    """Take the terminal, and give it back in any case. Raises UsageError where there is none that is wide enough."""
    view = top_views.View(every)
    terminal = terminals.Terminal()
    columns, _ = terminal.size
    if columns < top_tables.NARROWEST:
        raise errors.UsageError(
            f"top needs {top_tables.NARROWEST} columns, and this terminal has {columns}",
            fix="make it wider, or use lastack top --once -o json",
        )
    with _looks(wanted) as looks, terminal:
        _run(terminal, looks, view)


def _run(terminal: terminals.Terminal, looks: top_looks.Looks, view: top_views.View) -> None:
    """Look, draw, wait for keys; until a key ends it."""
    coloured = printing.wants_colours()
    table: top_looks.Table | None = None
    due = time.monotonic()
    terminal.draw(top_screens.render(view, None, terminal.size, coloured=coloured))
    while not view.quits:
        if not view.paused and time.monotonic() >= due:
            table = looks.take()
            due = time.monotonic() + view.every.total_seconds()
        rows = top_rows.arranged(table.rows, view.order, view.words) if table else []
        view = top_views.moved(view, rows, top_screens.room_for_rows(view, table, terminal.size))
        terminal.draw(top_screens.render(view, table, terminal.size, coloured=coloured))
        before = view
        for key in terminal.wait(None if view.paused else max(0.0, due - time.monotonic())):
            rows = top_rows.arranged(table.rows, view.order, view.words) if table else []
            view = top_views.pressed(view, key, rows, top_screens.room_for_rows(view, table, terminal.size))
        if (before.every, before.paused) != (view.every, view.paused):
            due = min(due, time.monotonic() + view.every.total_seconds())


@contextlib.contextmanager
def _looks(wanted: places.Wanted) -> Iterator[top_looks.Looks]:
    clock, offered = clocks.SystemClock(), features.probe()
    eye = sampler.SocketSampler(clock, offered, sysctls.CATALOGUE)
    if wanted.all_netns and wanted.pids is None and wanted.units is None:
        with rounds.Rounds(clock, offered, eye) as all_of_them:
            yield top_looks.Looks(top_looks.Everywhere(eye, all_of_them), wanted.ports)
    else:
        yield top_looks.Looks(top_looks.Selected(eye, wanted), wanted.ports)
