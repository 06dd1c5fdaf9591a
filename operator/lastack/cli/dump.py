"""`lastack dump PID`: a few thread dumps of a process and its children, grouped: what stands still, and where."""

import dataclasses
import datetime as dt
import json
import re
import textwrap
import time

import click

from lastack import errors, interruptions, quantities
from lastack.cli import printing, progress
from lastack.engine import instants, samples
from lastack.executors.thread_dump import groups, readers, runtimes, series, stacks
from lastack.kernel import clocks, linux, procfs
from lastack.policy import valid
from lastack.sensors import processes

_LOOK_EVERY_SECONDS = 0.05
_LONGEST = dt.timedelta(hours=1)
_SHORTEST_PAUSE, _LONGEST_PAUSE = dt.timedelta(milliseconds=10), dt.timedelta(seconds=10)
"""As in a policy."""
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")


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


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """What a person named: a process, or (`unit`) a unit whose processes are looked for."""

    pid: samples.Pid
    unit: str | None


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
    wanted = _wanted(what)
    settings = valid.ThreadDump(count, every, max_pause, dt.timedelta(0), native_stacks=native_stacks)
    taken: list[tuple[stacks.ProcessDump, int]] = []
    try:
        with interruptions.raised():
            found = _take(wanted, settings, taken)
    except KeyboardInterrupt:
        printing.note("interrupted; nothing was changed")
        raise click.exceptions.Exit(interruptions.EXIT_CODE) from None
    except errors.WorldError as problem:
        if output == "json":
            printing.json_document("ThreadDump", _unseen(wanted, problem))
        printing.complain(problem)
        context.exit(problem.exit_code)
    _show(output, wanted, found, taken)


def _wanted(what: str) -> _Wanted:
    """A number is a process, everything else a unit. Raises a usage error for what can be neither."""
    number = int(what) if what.isdecimal() else None
    if number:
        return _Wanted(samples.Pid(number), None)
    if number == 0 or not _UNIT.fullmatch(what):
        raise click.BadParameter(
            f"{what!r} is neither a process number nor the name of a unit; "
            "expected something like 4711 or device-api@1.service",
            param_hint="PID|UNIT",
        )
    return _Wanted(samples.Pid(0), what if "." in what else f"{what}.service")


def _pids(wanted: _Wanted, settings: valid.ThreadDump) -> list[samples.Pid]:
    """The process, or those of the unit, the one that started the others first. Raises NotReachable, Unsupported."""
    if wanted.unit is None:
        _must_be_known(wanted.pid, settings)
        return [wanted.pid]
    started = {
        pid: facts.started
        for pid in processes.pids_of_unit(wanted.unit)
        if not isinstance(facts := procfs.process(pid), samples.Missing)
    }
    if not started:
        raise errors.NotReachable(
            f"no process that can be seen belongs to unit {wanted.unit}",
            fix=f"it does not run, or has another name: systemctl status {wanted.unit}",
        )
    return sorted(started, key=lambda pid: (started[pid], pid))


def _take(
    wanted: _Wanted, settings: valid.ThreadDump, taken: list[tuple[stacks.ProcessDump, int]]
) -> series.Series:
    """Take the whole series; raises WorldError when there is nothing to take."""
    linux.require_linux()
    pids = _pids(wanted, settings)
    clock, bar = clocks.SystemClock(), progress.Progress()
    found = series.Series(
        pids, settings, lambda one, number: taken.append((one, number)), readers.all_readers()
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


def _must_be_known(pid: samples.Pid, settings: valid.ThreadDump) -> None:
    """A person names one process and means it: what runs below a shell or below init is not looked for."""
    found = runtimes.recognize(pid)
    if not isinstance(found, samples.Missing) and not readers.all_readers().of(found.kind, settings):
        raise errors.Unsupported(found.sentence(pid), fix=found.by_hand(pid))


def _show(
    output: str, wanted: _Wanted, found: series.Series, taken: list[tuple[stacks.ProcessDump, int]]
) -> None:
    finding = groups.find(found.rounds)
    if output == "json":
        printing.json_document("ThreadDump", _document(wanted, finding, found))
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
    return "\n".join(
        textwrap.wrap(printing.plain(line), printing.width(), subsequent_indent="  ", break_on_hyphens=False)
    )


def _cut(line: str) -> str:
    """A frame that is too long loses its beginning: the package says less than the method, the file and the line."""
    room = printing.width()
    frame = line.lstrip()
    indent = line[: len(line) - len(frame)]
    return line if len(line) <= room else f"{indent}…{frame[len(indent) + 1 - room :]}"


def _document(wanted: _Wanted, finding: groups.Finding, found: series.Series) -> dict[str, object]:
    """The body of `-o json`; every group of threads with its whole stack."""
    return {
        "observedAt": instants.rfc3339(found.rounds[-1][-1].at),
        "complete": not found.missing,
        "missing": [_missing(f"pid/{number}", problem) for number, problem in found.missing.items()],
        "pid": wanted.pid or found.rounds[-1][0].pid,
        "unit": wanted.unit,
        "processes": [
            {"pid": one.pid, "command": one.command, "runtime": one.runtime, "partial": one.partial}
            for one in found.rounds[-1]
        ],
        "dumps": finding.rounds,
        "span": quantities.short(finding.span),
        "summary": finding.text,
        "frame": str(finding.frame) if finding.frame else None,
        "cause": finding.meaning.cause.value if finding.frame else None,
        "peer": finding.meaning.peer,
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


def _unseen(wanted: _Wanted, problem: errors.WorldError) -> dict[str, object]:
    """The same when nothing could be seen: everything unknown is null, with the reason."""
    unknown = dict.fromkeys(("dumps", "span", "summary", "frame", "cause", "peer", "stuck", "of"))
    at = instants.rfc3339(clocks.SystemClock().now().wall)
    member = f"pid/{wanted.pid}" if wanted.unit is None else f"unit/{wanted.unit}"
    missing = [_missing(member, problem)]
    return {
        "observedAt": at,
        "complete": False,
        "missing": missing,
        "pid": wanted.pid or None,
        "unit": wanted.unit,
        "processes": [],
        **unknown,
        "groups": [],
    }


def _missing(member: str, problem: errors.WorldError) -> dict[str, object]:
    return {"signal": "threads", "member": member, "why": problem.message, "fix": problem.fix}
