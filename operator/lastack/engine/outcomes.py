"""How an act ended, as values: failures of the world are outcomes, not exceptions.

Returned by executors, absorbed by the engine, rendered into ledger entries.
"""

import dataclasses
from collections.abc import Mapping

from lastack.engine import actions, reasons

Json = None | bool | int | str | tuple["Json", ...] | Mapping[str, "Json"]
"""What an entry may hold: no floats; a fraction is a decimal string."""


@dataclasses.dataclass(frozen=True, slots=True)
class EvidenceFile:
    """One file of evidence: its path below the state directory, its size as stored and the SHA-256 of its content."""

    path: str
    bytes: int
    sha256: str
    what: str


@dataclasses.dataclass(frozen=True, slots=True)
class Succeeded:
    """It happened, and `incarnation` is the life that the member has now."""

    text: str
    incarnation: actions.Incarnation | None = None
    evidence: tuple[EvidenceFile, ...] = ()
    facts: Mapping[str, Json] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """It was tried and did not work; `happened` says whether the world was changed all the same."""

    text: str
    happened: bool
    incarnation: actions.Incarnation | None = None
    evidence: tuple[EvidenceFile, ...] = ()
    facts: Mapping[str, Json] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """The executor's own precondition did not hold, and nothing was touched."""

    reason: reasons.Reason
    text: str


Outcome = Succeeded | Failed | Refused


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """Not ended yet; `text` is what it is waiting for, for people who watch."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Happened:
    """Reconciled after a crash: the act took place (completely, as far as the world shows)."""

    text: str
    incarnation: actions.Incarnation | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class NotHappened:
    """Reconciled after a crash: the world is as it was before the act."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Unknowable:
    """Reconciled after a crash: the world does not tell."""

    text: str


Reconciled = Running | Happened | NotHappened | Unknowable
