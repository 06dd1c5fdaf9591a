"""`lastack record FILE`: what diagnose would look at, kept in one bounded file that can be sent and replayed."""

from __future__ import annotations

import datetime as dt
import pathlib

import click

from lastack import quantities
from lastack.cli import selecting

_SHORTEST_STEP = dt.timedelta(milliseconds=100)


def _step(_context: click.Context, _option: click.Parameter, text: str) -> dt.timedelta:
    span = selecting.window(_context, _option, text)
    if span < _SHORTEST_STEP:
        raise click.BadParameter(f"{text} is too short; expected {quantities.short(_SHORTEST_STEP)} or more")
    return span


def _size(_context: click.Context, _option: click.Parameter, text: str) -> int:
    from lastack.stores import recorders  # not for --help

    try:
        count = quantities.size(text)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from problem
    if count < recorders.SMALLEST:
        smallest = quantities.short_size(recorders.SMALLEST)
        raise click.BadParameter(f"{text} is too little; expected {smallest} or more")
    return count


@click.command()
@click.argument("file", type=click.Path(path_type=pathlib.Path, readable=False))
@selecting.options
@click.option(
    "--for",
    "span",
    metavar="DURATION",
    default="1m",
    show_default=True,
    callback=selecting.window,
    help="How long to record; Ctrl-C ends it earlier, in order.",
)
@click.option(
    "--every", metavar="DURATION", default="1s", show_default=True, callback=_step, help="From look to look."
)
@click.option(
    "--limit",
    metavar="SIZE",
    default="16MiB",
    show_default=True,
    callback=_size,
    help="The recording ends before the file is larger.",
)
@click.option(
    "--force", is_flag=True, help="Replace FILE if it is there; only an ordinary file is ever replaced."
)
@click.pass_context
def record(
    context: click.Context,
    *,
    file: pathlib.Path,
    port_numbers: tuple[int, ...],
    pids: tuple[int, ...],
    units: tuple[str, ...],
    netns: tuple[str, ...],
    all_netns: bool,
    span: dt.timedelta,
    every: dt.timedelta,
    limit: int,
    force: bool,
) -> None:
    """Record what diagnose would look at into FILE, to be sent to somebody and replayed there.

    `lastack diagnose --replay FILE` judges it on any machine. The selectors are those of diagnose. Nothing is changed
    but FILE, which only you can read. It holds queues, counters, settings, names of processes without their
    arguments, and addresses of clients; no content of any connection.

    Exit status: 0 recorded (also when it ended at the limit), 2 usage, 3 nothing could be seen or FILE could not be
    written, 130 interrupted. Whatever ends it, what was written until then can be replayed.
    """
    from lastack.cli import recording  # not for --help

    wanted = selecting.wanted(port_numbers, pids, units, netns, all_netns=all_netns)
    context.exit(recording.record(file, wanted, span, every, limit=limit, replace=force))
