"""What `lastack dump` does: find the processes, take a series of dumps, print what it means. Called by cli.dump."""

from __future__ import annotations

import dataclasses
import json
import re
import textwrap
import time

import click

from lastack import errors, quantities
from lastack.cli import printing, progress
from lastack.engine import instants, samples
from lastack.executors.thread_dump import groups, readers, runtimes, series, stacks
from lastack.kernel import clocks, linux, procfs
from lastack.policy import valid
from lastack.sensors import processes

_LOOK_EVERY_SECONDS = 0.05
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a person named: a process, or (`unit`) a unit whose processes are looked for."""

    pid: samples.Pid
    unit: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """A series that is over, and each of its dumps as the runtime said it, with its number."""

    series: series.Series
    dumps: tuple[tuple[stacks.ProcessDump, int], ...]


def wanted(what: str) -> Wanted:
    """A number is a process, everything else a unit. Raises a usage error for what can be neither."""
    number = int(what) if what.isdecimal() else None
    if number:
        return Wanted(samples.Pid(number), None)
    if number == 0 or not _UNIT.fullmatch(what):
        raise click.BadParameter(
            f"{what!r} is neither a process number nor the name of a unit; "
            "expected something like 4711 or device-api@1.service",
            param_hint="PID|UNIT",
        )
    return Wanted(samples.Pid(0), what if "." in what else f"{what}.service")


def _pids(named: Wanted, settings: valid.ThreadDump) -> list[samples.Pid]:
    """The process, or those of the unit, the one that started the others first. Raises NotReachable, Unsupported."""
    if named.unit is None:
        _must_be_known(named.pid, settings)
        return [named.pid]
    started = {
        pid: facts.started
        for pid in processes.pids_of_unit(named.unit)
        if not isinstance(facts := procfs.process(pid), samples.Missing)
    }
    if not started:
        raise errors.NotReachable(
            f"no process that can be seen belongs to unit {named.unit}",
            fix=f"it does not run, or has another name: systemctl status {named.unit}",
        )
    return sorted(started, key=lambda pid: (started[pid], pid))


def take(named: Wanted, settings: valid.ThreadDump) -> Taken:
    """Take the whole series; raises WorldError when there is nothing to take."""
    linux.require_linux()
    pids = _pids(named, settings)
    clock, bar = clocks.SystemClock(), progress.Progress()
    dumps: list[tuple[stacks.ProcessDump, int]] = []
    found = series.Series(
        pids, settings, lambda one, number: dumps.append((one, number)), readers.all_readers()
    )
    try:
        while not found.advance(clock.now()):
            done = len(found.rounds)
            bar.show(f"{done} of {settings.count} dumps, {quantities.short(settings.every)} apart")
            time.sleep(_LOOK_EVERY_SECONDS)
    finally:
        bar.clear()
        found.close()
    return Taken(found, tuple(dumps))


def _must_be_known(pid: samples.Pid, settings: valid.ThreadDump) -> None:
    """A person names one process and means it: what runs below a shell or below init is not looked for."""
    found = runtimes.recognize(pid)
    if not isinstance(found, samples.Missing) and not readers.all_readers().of(found.kind, settings):
        raise errors.Unsupported(found.sentence(pid), fix=found.by_hand(pid))


def show(output: str, named: Wanted, taken: Taken) -> None:
    """Print it as text, as one JSON document, or as the runtimes said it (`raw`)."""
    finding = groups.find(taken.series.rounds)
    if output == "json":
        printing.json_document("ThreadDump", _document(named, finding, taken.series))
    elif output == "raw":
        for one, number in taken.dumps:
            _raw(one, number)
    else:
        _text(taken.series, finding)


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


def _document(named: Wanted, finding: groups.Finding, found: series.Series) -> dict[str, object]:
    """The body of `-o json`; every group of threads with its whole stack."""
    return {
        "observedAt": instants.rfc3339(found.rounds[-1][-1].at),
        "complete": not found.missing,
        "missing": [_missing(f"pid/{number}", problem) for number, problem in found.missing.items()],
        "pid": named.pid or found.rounds[-1][0].pid,
        "unit": named.unit,
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


def unseen(named: Wanted, problem: errors.WorldError) -> dict[str, object]:
    """The same when nothing could be seen: everything unknown is null, with the reason."""
    unknown = dict.fromkeys(("dumps", "span", "summary", "frame", "cause", "peer", "stuck", "of"))
    at = instants.rfc3339(clocks.SystemClock().now().wall)
    member = f"pid/{named.pid}" if named.unit is None else f"unit/{named.unit}"
    missing = [_missing(member, problem)]
    return {
        "observedAt": at,
        "complete": False,
        "missing": missing,
        "pid": named.pid or None,
        "unit": named.unit,
        "processes": [],
        **unknown,
        "groups": [],
    }


def _missing(member: str, problem: errors.WorldError) -> dict[str, object]:
    return {"signal": "threads", "member": member, "why": problem.message, "fix": problem.fix}
