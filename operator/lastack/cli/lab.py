"""`lastack lab NAME`: one disease, running in a network namespace of its own, to look at it from a second terminal."""

from __future__ import annotations

import datetime as dt
import pathlib
import shlex
import sys
import tempfile
import textwrap
import time

import click

from lastack import errors, interruptions, quantities
from lastack.cli import printing, progress
from lastack.lab import namespaces, plans, running, scenarios

_DRAW_EVERY_SECONDS = 0.2


@click.command()
@click.argument("name", metavar="NAME", type=click.Choice([name.value for name in plans.Name]))
@click.option(
    "--for", "span", metavar="DURATION", help="End by itself after this time, as 2m; else with Ctrl-C."
)
def lab(name: str, span: str | None) -> None:
    """Run one disease to look at it.

    A disease: fd-exhaustion, accept-stall, overload, backlog-too-small, handler-stall, fd-leak, syn-pressure,
    syn-pressure-cookies, outbound-leak. None: half-close-in-use, healthy.

    A small service and its clients run in a network namespace of their own, on loopback only; nothing of them is
    left when the command ends. Needs no root where ordinary users may make namespaces.
    """
    ends_after = _duration(span)
    scenario = scenarios.SCENARIOS[plans.Name(name)]
    root = namespaces.is_root()
    with tempfile.TemporaryDirectory(prefix="lastack-lab-", ignore_cleanup_errors=True) as folder:
        try:
            with interruptions.raised():
                namespaces.enter_own()
                with running.started(scenario, pathlib.Path(folder)) as lab_running:
                    _introduce(scenario, lab_running, root=root, ends_after=ends_after)
                    _watch(lab_running, ends_after)
        except KeyboardInterrupt:
            printing.note("interrupted; the service, its clients and their namespace are gone")
            raise click.exceptions.Exit(interruptions.EXIT_CODE) from None


def _duration(text: str | None) -> dt.timedelta | None:
    if text is None:
        return None
    try:
        return quantities.duration(text)
    except ValueError as problem:
        raise errors.UsageError(f"--for: {problem}") from problem


def _introduce(
    scenario: plans.Scenario, now: running.Running, *, root: bool, ends_after: dt.timedelta | None
) -> None:
    enter = namespaces.way_in(now.pid, root=root)
    program = shlex.quote(sys.argv[0]) if "/" in sys.argv[0] else "lastack"
    _paragraph(f"{scenario.name}: {scenario.title}", printing.Tone.STRONG)
    for paragraph in scenario.story:
        printing.text()
        _paragraph(paragraph)
    printing.text()
    where = f"port {scenario.loads[0].port} of 127.0.0.1, in a network namespace of its own"
    _paragraph(f"The service is pid {now.pid}, on {where}.")
    printing.text()
    printing.text("In a second terminal, as the same user:")
    printing.text()
    # As an ordinary user one has to join the lab's user namespace first; then it is the caller's own namespace.
    command = f"{program} diagnose --netns {now.pid}" if root else f"{enter} {program} diagnose"
    _command(command, f"says {scenario.name.code} {scenario.named}")
    printing.text()
    printing.text("By hand:")
    for look in scenario.looks:
        printing.text()
        _command(look.command.format(enter=enter, pid=now.pid), look.shows)
    printing.text()
    end = f"Ends by itself after {quantities.short(ends_after)}, or" if ends_after else "Ends"
    printing.text(f"{end} with Ctrl-C. Nothing is left then.")


def _command(command: str, shows: str) -> None:
    printing.text(
        "  " + printing.tinted(command, printing.Tone.GOOD)
    )  # never wrapped: it is there to be copied
    for line in textwrap.wrap(shows, printing.width() - 6):
        printing.text("      " + printing.tinted(line, printing.Tone.QUIET))


def _paragraph(words: str, tone: printing.Tone | None = None) -> None:
    for line in textwrap.wrap(words, printing.width(), break_on_hyphens=False):
        printing.text(printing.tinted(line, tone))


def _watch(now: running.Running, ends_after: dt.timedelta | None) -> None:
    began = time.monotonic()
    bar = progress.Progress()
    try:
        while ends_after is None or time.monotonic() - began < ends_after.total_seconds():
            if not now.alive:
                raise errors.NotReachable(
                    f"a process of the lab ended by itself (its service is pid {now.pid})"
                )
            counts = now.counts()
            bar.show(
                f"{now.scenario.name} for {time.monotonic() - began:.0f} s: {counts.sent} requests sent, "
                f"{counts.answered} answered, {counts.failed} given up"
            )
            time.sleep(_DRAW_EVERY_SECONDS)
    finally:
        bar.clear()
