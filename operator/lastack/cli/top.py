"""`lastack top`: a live table of listeners, the ones in trouble first; `--once` prints one table and ends."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Iterator

import click

from lastack import errors, interruptions
from lastack.cli import (
    diagnosis_answers,
    diagnosis_documents,
    printing,
    progress,
    selecting,
    terminals,
    top_documents,
    top_looks,
    top_rows,
    top_screens,
    top_tables,
    top_views,
)
from lastack.kernel import clocks, features
from lastack.policy import sysctls
from lastack.sensors import places, rounds, sampler, watch

_WIDE = 100
"""Columns from which on a table has room for the namespace."""
_MOST_MISSING = 3


@click.command()
@selecting.options
@click.option(
    "--every",
    type=click.Choice(["500ms", "1s", "2s", "5s", "10s"]),
    default="1s",
    show_default=True,
    help="From look to look; + and - change it.",
)
@click.option("--once", is_flag=True, help="Print one table and end; also into a pipe.")
@click.option(
    "--for",
    "window",
    metavar="DURATION",
    default="2s",
    show_default=True,
    callback=selecting.window,
    help="With --once: how long to watch before.",
)
@printing.output_option("text", "json")
@click.pass_context
def top(
    context: click.Context,
    *,
    port_numbers: tuple[int, ...],
    pids: tuple[int, ...],
    units: tuple[str, ...],
    netns: str | None,
    all_netns: bool,
    every: str,
    once: bool,
    window: dt.timedelta,
    output: str,
) -> None:
    """Show every listener live: its queue, its drops, its CLOSE_WAIT sockets, its owner, its diagnosis.

    The ones in trouble come first; Enter says everything about one, F1 explains keys and columns. The selectors are
    those of diagnose. Nothing is changed.

    Exit status: 0 left, or with --once healthy; with --once 1 something is sick; 2 usage, or no terminal of 40
    columns; 3 nothing could be seen; 130 interrupted.
    """
    wanted = selecting.wanted(port_numbers, pids, units, netns, all_netns=all_netns)
    if output == "json" and not once:
        raise errors.UsageError("-o json is one document: it needs --once")
    try:
        with interruptions.raised():
            if once:
                context.exit(_once(wanted, window, output))
            _live(wanted, selecting.duration(every))
    except KeyboardInterrupt:
        printing.note("interrupted; nothing was changed")
        raise click.exceptions.Exit(interruptions.EXIT_CODE) from None


def _live(wanted: places.Wanted, every: dt.timedelta) -> None:
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


def _once(wanted: places.Wanted, window: dt.timedelta, output: str) -> int:
    """Watch as diagnose does, print the table; the exit code is that of diagnose."""
    clock = clocks.SystemClock()
    eye = sampler.SocketSampler(clock, features.probe(), sysctls.CATALOGUE)
    found = places.find(wanted)
    bar = progress.Progress()
    try:
        watched = watch.watch(
            eye,
            [place.selection for place in found.places],
            window,
            lambda passed: bar.show(f"watching for {passed.total_seconds():.0f} s"),
        )
    finally:
        bar.clear()
    seen = diagnosis_answers.Seen(
        windows=watched.windows,
        outbound=watched.outbound,
        namespaces=[place.inode for place, looked in zip(found.places, watched.seen, strict=True) if looked],
        missing=(*found.missing, *watched.missing),
        window=window,
        at=clock.now().wall,
    )
    answer = diagnosis_answers.judge(wanted.ports, seen)
    if output == "json":
        printing.json_document("ListenerTable", top_documents.document(answer, seen))
    else:
        _print(answer, wanted)
    return diagnosis_documents.exit_code(answer)


def _print(answer: diagnosis_documents.Answer, wanted: places.Wanted) -> None:
    rows = top_rows.arranged(top_rows.of(answer.items), top_rows.Order.TROUBLE, "")
    width = printing.width()
    # A narrow table has no room for it beside a whole diagnosis; -o json has it.
    columns = top_tables.layout(width, netns=wanted.all_netns and width >= _WIDE)
    if rows:
        printing.text(top_tables.titles(columns))
    for row in rows:
        printing.text(top_tables.line(row, columns, selected=False).rstrip())
    if not rows:
        printing.text("no listeners" if not answer.missing else "nothing could be seen")
    for what, why in answer.missing[:_MOST_MISSING]:
        printing.note(printing.plain(f"not seen: {what}: {why.why}" + (f"; {why.fix}" if why.fix else "")))
    if len(answer.missing) > _MOST_MISSING:
        printing.note(
            f"and {len(answer.missing) - _MOST_MISSING} more that were not seen: -o json has them all"
        )
