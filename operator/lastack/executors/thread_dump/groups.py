"""What a series of dumps says: which threads stand still, where, and how many of how many. Used by `series`; pure."""

import collections
import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable, Sequence

from lastack.executors.thread_dump import meanings, stacks

Round = Sequence[stacks.ProcessDump]
"""One dump of each process, taken right after each other."""

_Places = dict[tuple[int, int], stacks.Frame | None]
"""(pid, thread) -> where it stands."""

MOST_GROUPS = 5
MOST_FRAMES = 8
"""What fits into a ledger entry and is still enough to recognize the place."""
_MOST_NAMES = 3
_MOST_FRAMES_OF_IDLE = 3


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
    rounds = _read_alike(rounds)
    last = [thread for dump in rounds[-1] for thread in dump.threads]
    still = _unchanged(rounds)
    span = _span(rounds)
    groups = _groups(last, still)
    standing = [
        thread for thread in last if (thread.pid, thread.thread) in still and not thread.waits_for_work
    ]
    places = _places(standing)
    told = [thread for thread in standing if _in_application(thread)] or standing
    top = _most_common([places[thread.pid, thread.thread] for thread in told], running=_running(told, places))
    if top is None:
        seen = f"{len(rounds)} dump{'s' if len(rounds) > 1 else ''} over {span.total_seconds():.3g} s"
        seen_by = f"{_reservation(rounds)}{_unseen(last)}"
        threads = "thread" if len(last) == 1 else "threads"
        text = f"none of {len(last)} {threads} stands still outside of waiting for work ({seen}){seen_by}"
        return Finding(text, None, 0, len(last), len(rounds), span, groups)
    stuck = [thread for thread in standing if places[thread.pid, thread.thread] == top]
    workers = _workers(rounds[-1], {thread.role for thread in stuck})
    kind = "worker processes" if {thread.role for thread in stuck} == {"main"} else "worker threads"
    verb = "stand" if len(stuck) > 1 else "stands"
    meaning = meanings.of(stuck, last)
    # What the kernel tells is no place in a file: "in read, reading from".
    doing = f"{' ' if top.file else ', '}{meaning.words}" if meaning.words else ""
    text = f"{len(stuck)} of {workers} {kind} {verb} in {top}{doing}, {_in_rounds(rounds, span)}{_reservation(rounds)}"
    return Finding(text, top, len(stuck), workers, len(rounds), span, groups, meaning)


def listing(finding: Finding, *, most_groups: int = MOST_GROUPS, most_frames: int = MOST_FRAMES) -> str:
    """The groups as text, a paragraph each: who has the stack, and the stack, innermost frame first."""
    parts = [_paragraph(group, finding.rounds, most_frames) for group in finding.groups[:most_groups]]
    left = len(finding.groups) - most_groups
    if left > 0:
        parts.append(f"... and {left} more {'stack' if left == 1 else 'stacks'}")
    return "\n\n".join(parts)


def _read_alike(rounds: Sequence[Round]) -> Sequence[Round]:
    """The last rounds in which each process was read in the same way: a stack of the kernel's is like no other."""
    way = {dump.pid: (dump.suffix, dump.way) for dump in rounds[-1]}
    alike = 0
    for each in reversed(rounds):
        if any(way.get(dump.pid, (dump.suffix, dump.way)) != (dump.suffix, dump.way) for dump in each):
            break
        alike += 1
    return rounds[-alike:]


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
    """(pid, thread) of those with the same frames in every round; of one that runs, with the same functions."""
    first, *others = [
        {(thread.pid, thread.thread): thread for dump in each for thread in dump.threads} for each in rounds
    ]
    return {
        key
        for key, thread in first.items()
        if all(key in other and _stands_like(thread, other[key]) for other in others)
    }


def _stands_like(one: stacks.ThreadStack, other: stacks.ThreadStack) -> bool:
    if one.frames == other.frames:
        return True
    # A loop that computes is at another line of itself in each dump.
    return one.active and other.active and _functions(one) == _functions(other)


def _functions(thread: stacks.ThreadStack) -> list[tuple[str, str]]:
    """Of files: what a runtime has inside (sort() of JavaScript) comes and goes within one line of its caller."""
    return [(frame.function, frame.file) for frame in thread.frames if frame.file]


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


def _places(threads: Iterable[stacks.ThreadStack]) -> _Places:
    """Where each of them stands.

    At a lock, an interpreted frame may be a line further than a compiled one: in one function, before one kind of
    lock, it is one place.
    """
    spots: dict[object, list[stacks.ThreadStack]] = collections.defaultdict(list)
    for thread in threads:
        place, lock = thread.place, thread.waits_for
        at_lock = (place.function, place.file, lock.kind) if place and lock else None
        spots[at_lock or place].append(thread)
    found: _Places = {}
    for together in spots.values():
        place = _most_common(thread.place for thread in together)
        found.update(((thread.pid, thread.thread), place) for thread in together)
    return found


def _running(threads: Iterable[stacks.ThreadStack], places: _Places) -> set[stacks.Frame | None]:
    return {places[thread.pid, thread.thread] for thread in threads if thread.active}


def _most_common(
    places: Iterable[stacks.Frame | None], *, running: Collection[stacks.Frame | None] = ()
) -> stacks.Frame | None:
    """Of two that are as common, the one where a thread is running says more than one where it sleeps."""
    counted = collections.Counter(place for place in places if place is not None)
    return min(counted, key=lambda place: (-counted[place], place not in running, str(place)), default=None)


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


def _reservation(rounds: Sequence[Round]) -> str:
    """The numbers are what was seen, which need not be all."""
    cut = sum(dump.partial is not None for each in rounds for dump in each)
    return (
        ""
        if not cut
        else f" (at least: {cut} of {sum(map(len, rounds))} dumps {'is' if cut == 1 else 'are'} not whole)"
    )


def _paragraph(group: Group, rounds: int, most_frames: int) -> str:
    many = len(group.threads)
    held = "waiting for work" if group.sample.waits_for_work else _held(group, rounds)
    more = f" and {many - _MOST_NAMES} more" if many > _MOST_NAMES else ""
    # Where who waits for work came from is of no interest to anybody who seeks what is stuck.
    most = min(most_frames, _MOST_FRAMES_OF_IDLE) if group.sample.waits_for_work else most_frames
    frames = [f"    {frame}" for frame in group.sample.frames[:most]]
    if len(group.sample.frames) > most:
        frames.append(f"    ... {len(group.sample.frames) - most} more")
    head = f"{many} thread{'' if many == 1 else 's'}, {held}: {_names(group.threads[:_MOST_NAMES])}{more}"
    return "\n".join([head, *frames])


def _names(threads: Sequence[stacks.ThreadStack]) -> str:
    """Name and process of each, the process once; threads without a name of their own by their number."""
    by_process: dict[int, list[str]] = collections.defaultdict(list)
    for thread in threads:
        alike = sum(each.name == thread.name for each in threads) > 1
        by_process[thread.pid].append(f"{thread.name} {thread.thread}" if alike else thread.name)
    return "; ".join(f"{', '.join(names)} of {pid}" for pid, names in by_process.items())


def _held(group: Group, rounds: int) -> str:
    if rounds == 1:
        return "active" if group.sample.active else "idle"
    if group.unchanged == len(group.threads):
        return "did not move"
    return f"{group.unchanged} did not move" if group.unchanged else "moved"
