"""What a probe answered: a real request, one at a time per member. Made by sensors, read by verification."""

import dataclasses

from lastack.engine import actions, instants


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeResult:
    """One answer, or the reason why there was none. `text` has the status and the time it took."""

    member: actions.MemberName
    incarnation: actions.Incarnation
    at: instants.Now
    passed: bool
    text: str
