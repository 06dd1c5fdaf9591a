"""Look for a while, judge, and dump what is stuck if that was asked for. Called by cli.diagnose."""

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
    clock = clocks.SystemClock()
    try:
        eye = sampler.SocketSampler(clock, features.probe(), sysctls.CATALOGUE)
    except errors.WorldError as problem:
        why = samples.Missing(problem.message, problem.fix)
        return diagnosis_documents.Answer(clock.now().wall, window, (), (("netns/self", why),))
    found = places.find(wanted)
    bar = progress.Progress()

    def tell(passed: dt.timedelta) -> None:
        bar.show(f"watching for {quantities.short(window)}: {passed.total_seconds():.0f} s")

    try:
        watched = watch.watch(eye, [place.selection for place in found.places], window, tell)
    finally:
        bar.clear()
    seen = diagnosis_answers.Seen(
        windows=watched.windows,
        outbound=watched.outbound,
        namespaces=[place.inode for place, looked in zip(found.places, watched.seen, strict=True) if looked],
        missing=(*found.missing, *watched.missing),
        window=window,
        at=clock.now().wall,
    )
    return diagnosis_answers.judge(wanted.ports, seen)


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
