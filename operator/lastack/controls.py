"""What a request through the control socket does: facts to write, leases to give back, an answer. Pure.

Called by loop, from its tick thread, so that a request is one more input of a tick and never a second writer.
"""

import dataclasses
from collections.abc import Callable, Mapping

from lastack import errors, ports, quantities, watches
from lastack.engine import actions, facts, instants, outcomes, standings
from lastack.runbook import folds, pauses, status


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """What a request may ask about."""

    now: instants.Now
    folded: folds.Folded
    watches: tuple[watches.Watch, ...]
    running: Mapping[actions.StepId, str]
    disk_full: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What follows from a request. `reply` is called after the facts are durable."""

    reply: Callable[[], None]
    news: tuple[facts.Fact, ...] = ()
    restores: tuple[standings.Lease, ...] = ()


def answer(request: ports.ControlRequest, view: View) -> Answer:
    """Answer one request; one that is not understood is answered with what was expected."""
    verb = _VERBS.get(request.verb)
    if verb is None:
        text = f"no such request: {request.verb!r}; expected one of {', '.join(_VERBS)}"
        return Answer(lambda: request.reply({"error": text}))
    try:
        return verb(request, view)
    except (errors.UsageError, ValueError) as wrong:
        text = str(wrong)
        return Answer(lambda: request.reply({"error": text}))


def _status(request: ports.ControlRequest, view: View) -> Answer:
    seen = [(watch.policy, watch.census, watch.judged) for watch in view.watches]
    document = status.document(view.now, view.folded, seen, view.running, view.disk_full)
    return Answer(lambda: request.reply(document))


def _pause(request: ports.ControlRequest, view: View) -> Answer:
    reason = request.arguments.get("reason", "").strip()
    if not reason:
        raise errors.UsageError("a pause needs a reason")
    lasting = request.arguments.get("for")
    span = quantities.duration(lasting) if lasting else None
    fact = pauses.paused(view.now, request.actor, reason, span)
    return _done(request, fact.text, (fact,))


def _resume(request: ports.ControlRequest, view: View) -> Answer:
    fact = pauses.resumed(view.now, request.actor, view.folded.pause)
    return _done(request, fact.text, (fact,))


def _restore(request: ports.ControlRequest, view: View) -> Answer:
    name = request.arguments.get("name")
    leases = tuple(lease for lease in view.folded.leases.values() if name in (None, lease.name))
    if not leases:
        text = f"no lease of {name} is open" if name else "no lease is open"
        return _done(request, text, ())
    names = ", ".join(sorted({lease.name for lease in leases}))
    said: dict[str, outcomes.Json] = {"text": f"giving back {names}", "count": len(leases)}
    return Answer(lambda: request.reply(said), restores=leases)


def _done(request: ports.ControlRequest, text: str, news: tuple[facts.Fact, ...]) -> Answer:
    return Answer(lambda: request.reply({"text": text}), news)


_VERBS: Mapping[str, Callable[[ports.ControlRequest, View], Answer]] = {
    "status": _status,
    "pause": _pause,
    "resume": _resume,
    "restore": _restore,
}
