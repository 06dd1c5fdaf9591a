"""Look for a while, judge, and dump what is stuck if that was asked for. Called by cli's diagnose and top_once."""

import dataclasses
import datetime as dt

from lastack import errors, quantities
from lastack.cli import diagnosis_answers, diagnosis_documents, printing, progress
from lastack.engine import samples
from lastack.kernel import clocks, features
from lastack.policy import sysctls
from lastack.sensors import places, sampler, watch


def answer(wanted: places.Wanted, window: dt.timedelta) -> diagnosis_documents.Answer:
    """Look and judge; what the world does not allow is part of the answer."""
    try:
        offered = features.probe()
    except errors.WorldError as problem:
        why = samples.Missing(problem.message, problem.fix)
        now = clocks.SystemClock().now().wall
        return diagnosis_documents.Answer(now, window, (), (("netns/self", why),))
    return diagnosis_answers.judge(wanted.ports, look(wanted, window, offered))


def look(wanted: places.Wanted, window: dt.timedelta, offered: features.Features) -> diagnosis_answers.Seen:
    """Watch everything that is wanted for so long, and tell a terminal how far it is."""
    clock = clocks.SystemClock()
    eye = sampler.SocketSampler(clock, offered, sysctls.CATALOGUE)
    found = places.find(wanted)
    bar = progress.Progress()

    def tell(passed: dt.timedelta) -> None:
        bar.show(f"watching for {quantities.short(window)}: {passed.total_seconds():.0f} s")

    try:
        watched = watch.watch(eye, [place.selection for place in found.places], window, tell)
    finally:
        bar.clear()
    return diagnosis_answers.Seen(
        windows=watched.windows,
        outbound=watched.outbound,
        namespaces=[place.inode for place, looked in zip(found.places, watched.seen, strict=True) if looked],
        missing=(*found.missing, *watched.missing),
        window=window,
        at=clock.now().wall,
    )


def with_dumps(seen: diagnosis_documents.Answer) -> diagnosis_documents.Answer:
    """The answer with what a dump of each stuck process shows; what cannot be dumped is said on stderr."""
    from lastack.cli import diagnosis_dumps  # only when it is asked for

    items = []
    for item in seen.items:
        dumped, missing = diagnosis_dumps.with_cause(item)
        if missing is not None:
            printing.note(f"no thread dump: {printing.lines(missing.why)}")
        items.append(dumped)
    return dataclasses.replace(seen, items=tuple(items))
