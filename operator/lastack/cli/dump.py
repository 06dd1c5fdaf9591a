"""`lastack dump PID`: a few thread dumps of a process and its children, grouped: what stands still, and where."""

from __future__ import annotations

import datetime as dt

import click

from lastack import errors, interruptions, quantities
from lastack.cli import printing

_LONGEST = dt.timedelta(hours=1)
_SHORTEST_PAUSE, _LONGEST_PAUSE = dt.timedelta(milliseconds=10), dt.timedelta(seconds=10)
"""As in a policy."""


def _duration(_context: click.Context, _option: click.Parameter, text: str) -> dt.timedelta:
    try:
        span = quantities.duration(text)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from problem
    if span > _LONGEST:
        raise click.BadParameter(f"{text} is too long; expected {quantities.short(_LONGEST)} or less")
    return span


def _pause(context: click.Context, option: click.Parameter, text: str) -> dt.timedelta:
    span = _duration(context, option, text)
    if not _SHORTEST_PAUSE <= span <= _LONGEST_PAUSE:
        least, most = quantities.short(_SHORTEST_PAUSE), quantities.short(_LONGEST_PAUSE)
        raise click.BadParameter(f"{text} is out of range; expected {least} to {most}")
    return span


@click.command()
@click.argument("what", metavar="PID|UNIT")
@click.option(
    "--count",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How many dumps; one alone cannot tell slow from stuck.",
)
@click.option(
    "--every",
    metavar="DURATION",
    default="5s",
    show_default=True,
    callback=_duration,
    help="How long from one dump to the next.",
)
@click.option(
    "--native-stacks",
    is_flag=True,
    help="Stop each thread for a moment to read its native stack, where a program cannot be asked.",
)
@click.option(
    "--max-pause",
    metavar="DURATION",
    default="500ms",
    show_default=True,
    callback=_pause,
    help="How long a process, or one thread of it, may be stopped.",
)
@printing.output_option("text", "json", "raw")
@click.pass_context
def dump(
    context: click.Context,
    *,
    what: str,
    count: int,
    every: dt.timedelta,
    native_stacks: bool,
    max_pause: dt.timedelta,
    output: str,
) -> None:
    """Say which threads of a process or a systemd unit stand still, where, and what they wait for.

    Dumps the process and its children, or all processes of the unit. Python is read from outside, without stopping it;
    only when that fails three times is a process stopped, for at most half a second. A Java virtual machine (HotSpot)
    is asked as jcmd asks it, but only where that cannot harm it, a Go program where it serves net/http/pprof; of any
    other program the system calls and sockets of its threads are told, and functions only with --native-stacks.
    Nothing is changed, and one dump is taken at a time on a host. `-o raw` prints what the runtime said.

    Exit status: 0 dumped, 2 usage, 3 the process is gone or may not be looked into, or another dump is being taken.
    """
    from lastack.cli import dumping  # not for --help
    from lastack.policy import valid

    settings = valid.ThreadDump(count, every, max_pause, dt.timedelta(0), native_stacks=native_stacks)
    wanted = dumping.wanted(what)
    try:
        with interruptions.raised():
            found = dumping.take(wanted, settings)
    except KeyboardInterrupt:
        printing.note("interrupted; nothing was changed")
        raise click.exceptions.Exit(interruptions.EXIT_CODE) from None
    except errors.WorldError as problem:
        if output == "json":
            printing.json_document("ThreadDump", dumping.unseen(wanted, problem))
        printing.complain(problem)
        context.exit(problem.exit_code)
    dumping.show(output, wanted, found)
