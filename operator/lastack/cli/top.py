"""`lastack top`: a live table of listeners, the ones in trouble first; `--once` prints one table and ends."""

from __future__ import annotations

import datetime as dt

import click

from lastack import errors, interruptions
from lastack.cli import printing, selecting


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
    netns: tuple[str, ...],
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
    from lastack.cli import top_live, top_once  # not for --help

    wanted = selecting.wanted(port_numbers, pids, units, netns, all_netns=all_netns)
    if output == "json" and not once:
        raise errors.UsageError("-o json is one document: it needs --once")
    try:
        with interruptions.raised():
            if once:
                context.exit(top_once.show(wanted, window, output))
            top_live.show(wanted, selecting.duration(every))
    except KeyboardInterrupt:
        printing.note("interrupted; nothing was changed")
        raise click.exceptions.Exit(interruptions.EXIT_CODE) from None
