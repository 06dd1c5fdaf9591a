"""What a series of dumps says: which threads stand still, where, and how many of how many. Used by `series`; pure."""

import collections
import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence

from lastack.executors.thread_dump import meanings, stacks

Round = Sequence[stacks.ProcessDump]
"""One dump of each process, taken right after each other."""

MOST_GROUPS = 5
MOST_FRAMES = 8
"""What fits into a ledger entry and is still enough to recognize the place."""


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Threads of the last round with one stack. `unchanged` of them have had it in every round."""

    threads: tuple[stacks.ThreadStack, ...]
    unchanged: int

    @property
    def sample(self) -> stacks.ThreadStack:
        """One of them: they differ only in who they are."""
        return self.threads[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """`stuck` of `of` workers stand at `frame`, unchanged in `rounds` dumps over `span`; no frame: none stands still.

    `groups` are all stacks of the last round, those that stand still outside of waiting first. `meaning` is what the
    stuck ones wait for.
    """

    text: str
    frame: stacks.Frame | None
    stuck: int
    of: int
    rounds: int
    span: dt.timedelta
    groups: tuple[Group, ...]
    meaning: meanings.Meaning = meanings.UNKNOWN


def find(rounds: Sequence[Round]) -> Finding:
    """Compare the rounds, oldest first; at least one."""
    last = [thread for dump in rounds[-1] for thread in dump.threads]
    still = _unchanged(rounds)
    span = _span(rounds)
    groups = _groups(last, still)
    standing = [
        thread for thread in last if (thread.pid, thread.thread) in still and not thread.waits_for_work
    ]
    top = _most_common_place([thread for thread in standing if _in_application(thread)] or standing)
    if top is None:
        seen = f"{len(rounds)} dump{'s' if len(rounds) > 1 else ''} over {span.total_seconds():.3g} s"
        text = f"none of {len(last)} threads stands still outside of waiting for work ({seen}){_unseen(last)}"
        return Finding(text, None, 0, len(last), len(rounds), span, groups)
    stuck = [thread for thread in standing if thread.place == top]
    workers = _workers(rounds[-1], {thread.role for thread in stuck})
    kind = "worker processes" if {thread.role for thread in stuck} == {"main"} else "worker threads"
    verb = "stand" if len(stuck) > 1 else "stands"
    meaning = meanings.of(stuck, last)
    doing = f" {meaning.words}" if meaning.words else ""
    text = f"{len(stuck)} of {workers} {kind} {verb} in {top}{doing}, {_in_rounds(rounds, span)}"
    return Finding(text, top, len(stuck), workers, len(rounds), span, groups, meaning)


def listing(finding: Finding, *, most_groups: int = MOST_GROUPS, most_frames: int = MOST_FRAMES) -> str:
    """The groups as text, a paragraph each: who has the stack, and the stack, innermost frame first."""
    parts = [_paragraph(group, finding.rounds, most_frames) for group in finding.groups[:most_groups]]
    left = len(finding.groups) - most_groups
    if left > 0:
        parts.append(f"... and {left} more {'stack' if left == 1 else 'stacks'}")
    return "\n\n".join(parts)


def _unseen(last: Iterable[stacks.ThreadStack]) -> str:
    """What cannot be told of event loops that wait for their next event."""
    pids = sorted({thread.pid for thread in last if thread.rests})
    if not pids:
        return ""
    loops = (
        f"the event loop of process {pids[0]} rests" if len(pids) == 1 else f"{len(pids)} event loops rest"
    )
    return f"; {loops}: tasks that wait in {'it' if len(pids) == 1 else 'them'} cannot be seen from outside"


def _unchanged(rounds: Sequence[Round]) -> set[tuple[int, int]]:
    """(pid, thread) of those with the same frames in every round."""
    first, *others = [
        {(thread.pid, thread.thread): thread.frames for dump in each for thread in dump.threads}
        for each in rounds
    ]
    return {key for key, frames in first.items() if all(other.get(key) == frames for other in others)}


def _span(rounds: Sequence[Round]) -> dt.timedelta:
    times = [dump.at for each in rounds for dump in each]
    return max(times) - min(times)


def _groups(last: Iterable[stacks.ThreadStack], still: set[tuple[int, int]]) -> tuple[Group, ...]:
    by_frames: dict[tuple[stacks.Frame, ...], list[stacks.ThreadStack]] = collections.defaultdict(list)
    for thread in last:
        by_frames[thread.frames].append(thread)
    groups = [
        Group(tuple(threads), sum((thread.pid, thread.thread) in still for thread in threads))
        for threads in by_frames.values()
    ]
    return tuple(
        sorted(
            groups,
            key=lambda group: (
                group.sample.waits_for_work,
                not _in_application(group.sample),
                -group.unchanged,
                -len(group.threads),
                [str(frame) for frame in group.sample.frames],
            ),
        )
    )


def _most_common_place(threads: Iterable[stacks.ThreadStack]) -> stacks.Frame | None:
    places = collections.Counter(thread.place for thread in threads if thread.place is not None)
    return min(places, key=lambda place: (-places[place], str(place)), default=None)


def _workers(last: Round, roles: set[str]) -> int:
    """How many do the same kind of work; a process that has children here only looks after them."""
    parents = {dump.parent for dump in last}
    return sum(
        thread.role in roles and not (thread.role == "main" and dump.pid in parents)
        for dump in last
        for thread in dump.threads
    )


def _in_application(thread: stacks.ThreadStack) -> bool:
    return any(frame.application for frame in thread.frames)


def _in_rounds(rounds: Sequence[Round], span: dt.timedelta) -> str:
    if len(rounds) == 1:
        return "in one dump, which cannot tell slow from stuck"
    return f"unchanged in {len(rounds)} dumps over {span.total_seconds():.3g} s"


def _paragraph(group: Group, rounds: int, most_frames: int) -> str:
    many = len(group.threads)
    held = "waiting for work" if group.sample.waits_for_work else _held(group, rounds)
    names = ", ".join(f"{thread.name} of {thread.pid}" for thread in group.threads[:3])
    more = f" and {many - 3} more" if many > 3 else ""
    frames = [f"    {frame}" for frame in group.sample.frames[:most_frames]]
    if len(group.sample.frames) > most_frames:
        frames.append(f"    ... {len(group.sample.frames) - most_frames} more")
    head = f"{many} thread{'' if many == 1 else 's'}, {held}: {names}{more}"
    return "\n".join([head, *frames])


def _held(group: Group, rounds: int) -> str:
    if rounds == 1:
        return "active" if group.sample.active else "idle"
    if group.unchanged == len(group.threads):
        return "did not move"
    return f"{group.unchanged} did not move" if group.unchanged else "moved"
