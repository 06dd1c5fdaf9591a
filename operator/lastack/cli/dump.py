"""`lastack dump PID`: a few thread dumps of a process and its children, grouped: what stands still, and where."""

import datetime as dt
import json
import textwrap
import time

import click

from lastack import errors, interruptions, quantities
from lastack.cli import printing, progress
from lastack.engine import instants, samples
from lastack.executors.thread_dump import groups, readers, runtimes, series, stacks
from lastack.kernel import clocks, linux
from lastack.policy import valid

_LOOK_EVERY_SECONDS = 0.05
_MAX_PAUSE = dt.timedelta(milliseconds=500)
_LONGEST = dt.timedelta(hours=1)


def _duration(_context: click.Context, _option: click.Parameter, text: str) -> dt.timedelta:
    try:
        span = quantities.duration(text)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from problem
    if span > _LONGEST:
        raise click.BadParameter(f"{text} is too long; expected {quantities.short(_LONGEST)} or less")
    return span


@click.command()
@click.argument("pid", type=click.IntRange(1))
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
@printing.output_option("text", "json", "raw")
@click.pass_context
def dump(context: click.Context, *, pid: int, count: int, every: dt.timedelta, output: str) -> None:
    """Say which threads of a process stand still, and where.

    Dumps PID and its children, Python programs and HotSpot Java virtual machines. Python is read from outside,
    without stopping it; only when that fails three times is a process stopped, for at most half a second. A JVM is
    asked as jcmd asks it, but only where that cannot harm it. Nothing is changed. `-o raw` prints what the runtime
    said: a line of JSON per Python process and dump, the text of a JVM.

    Exit status: 0 dumped, 2 usage, 3 the process is gone, may not be looked into, or is of another runtime.
    """
    settings = valid.ThreadDump(count, every, _MAX_PAUSE, wait_at_most=dt.timedelta(0))
    taken: list[tuple[stacks.ProcessDump, int]] = []
    try:
        with interruptions.raised():
            found = _take(pid, settings, taken)
    except KeyboardInterrupt:
        printing.note("interrupted; nothing was changed")
        raise click.exceptions.Exit(interruptions.EXIT_CODE) from None
    except errors.WorldError as problem:
        if output == "json":
            printing.json_document("ThreadDump", _unseen(pid, problem))
        printing.complain(problem)
        context.exit(problem.exit_code)
    _show(output, pid, found, taken)


def _take(pid: int, settings: valid.ThreadDump, taken: list[tuple[stacks.ProcessDump, int]]) -> series.Series:
    """Take the whole series; raises WorldError when there is nothing to take."""
    linux.require_linux()
    _must_be_known(pid)
    clock, bar = clocks.SystemClock(), progress.Progress()
    found = series.Series(
        [pid], settings, lambda one, number: taken.append((one, number)), readers.all_readers()
    )
    try:
        while not found.advance(clock.now()):
            done = len(found.rounds)
            bar.show(f"{done} of {settings.count} dumps, {quantities.short(settings.every)} apart")
            time.sleep(_LOOK_EVERY_SECONDS)
    finally:
        bar.clear()
        found.close()
    return found


def _must_be_known(pid: int) -> None:
    """A person names one process and means it: what runs below a shell or below init is not looked for."""
    found = runtimes.recognize(pid)
    if not isinstance(found, samples.Missing) and found.kind not in readers.all_readers():
        raise errors.Unsupported(found.sentence(pid), fix=found.by_hand(pid))


def _show(output: str, pid: int, found: series.Series, taken: list[tuple[stacks.ProcessDump, int]]) -> None:
    finding = groups.find(found.rounds)
    if output == "json":
        printing.json_document("ThreadDump", _document(pid, finding, found))
    elif output == "raw":
        for one, number in taken:
            _raw(one, number)
    else:
        _text(found, finding)


def _raw(one: stacks.ProcessDump, number: int) -> None:
    """What the runtime said: JSON as one line with a head, text below a line that says whose it is."""
    at = instants.rfc3339(one.at)
    if one.suffix == "json":
        head = {"dump": number, "pid": one.pid, "command": one.command, "at": at}
        printing.json_line({**head, "threads": json.loads(one.raw)})
        return
    printing.text(f"# dump {number} of {one.command} ({one.pid}) at {at}")
    for line in one.raw.decode("utf-8", errors="replace").splitlines():
        printing.text(stacks.plain_line(line))


def _text(found: series.Series, finding: groups.Finding) -> None:
    printing.text(printing.tinted(_wrapped(finding.text), printing.Tone.STRONG))
    printing.text()
    for line in groups.listing(finding, most_groups=len(finding.groups), most_frames=30).splitlines():
        if not line:
            printing.text()
        elif line.startswith(" "):
            printing.text(_cut(printing.plain(line)))
        else:
            printing.text(_wrapped(line))
    for problem in found.missing.values():
        printing.complain(problem)


def _wrapped(line: str) -> str:
    return "\n".join(textwrap.wrap(printing.plain(line), printing.width(), subsequent_indent="  "))


def _cut(line: str) -> str:
    room = printing.width()
    return line if len(line) <= room else line[: room - 1] + "…"


def _document(pid: int, finding: groups.Finding, found: series.Series) -> dict[str, object]:
    """The body of `-o json`; every group of threads with its whole stack."""
    return {
        "observedAt": instants.rfc3339(found.rounds[-1][-1].at),
        "complete": not found.missing,
        "missing": [_missing(number, problem) for number, problem in found.missing.items()],
        "pid": pid,
        "processes": [
            {"pid": one.pid, "command": one.command, "runtime": one.runtime} for one in found.rounds[-1]
        ],
        "dumps": finding.rounds,
        "span": quantities.short(finding.span),
        "summary": finding.text,
        "frame": str(finding.frame) if finding.frame else None,
        "stuck": finding.stuck,
        "of": finding.of,
        "groups": [_group(group) for group in finding.groups],
    }


def _group(group: groups.Group) -> dict[str, object]:
    return {
        "threads": [
            {"pid": one.pid, "thread": one.thread, "name": one.name, "active": one.active}
            for one in group.threads
        ],
        "unchanged": group.unchanged,
        "waitsForWork": group.sample.waits_for_work,
        "frames": [
            {
                "function": frame.function,
                "file": frame.file,
                "line": frame.line,
                "application": frame.application,
            }
            for frame in group.sample.frames
        ],
    }


def _unseen(pid: int, problem: errors.WorldError) -> dict[str, object]:
    """The same when nothing could be seen: everything unknown is null, with the reason."""
    unknown = dict.fromkeys(("dumps", "span", "summary", "frame", "stuck", "of"))
    at = instants.rfc3339(clocks.SystemClock().now().wall)
    missing = [_missing(pid, problem)]
    return {
        "observedAt": at,
        "complete": False,
        "missing": missing,
        "pid": pid,
        "processes": [],
        **unknown,
        "groups": [],
    }


def _missing(pid: int, problem: errors.WorldError) -> dict[str, object]:
    return {"signal": "threads", "member": f"pid/{pid}", "why": problem.message, "fix": problem.fix}
