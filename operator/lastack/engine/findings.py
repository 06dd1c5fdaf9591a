"""A diagnosis with all that it rests on: the answer of `lastack diagnose`, and what verdicts are made of.

Made by engine.diagnoses; rendered by cli and runbook.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

from lastack.engine import samples
from lastack.policy import vocabulary

Never = Literal["never"]
SignalValue = float | int | samples.Missing
"""Infinity is a forecast that never comes true."""
Signals = Mapping[vocabulary.SignalName, SignalValue]


def shown(value: SignalValue) -> float | int | Never | None:
    """A value as documents have it: None where it is missing, fractions to the thousandth."""
    if isinstance(value, samples.Missing):
        return None
    if isinstance(value, int):
        return value
    return "never" if math.isinf(value) else round(value, 3)


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """One number that speaks for the diagnosis, against what it was held, in words."""

    signal: vocabulary.SignalName
    value: float | int | None
    limit: float | int | None
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Remedy:
    """Something that can help or cannot (an action's or sysctl's name), and why."""

    remedy: str
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Cause:
    """What the stuck code waits for; `kind` unknown where it was sought and not found."""

    kind: vocabulary.CauseKind
    source: str | None
    confidence: vocabulary.Confidence
    peer: str | None = None
    frame: str | None = None
    stuck: int | None = None
    of: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one listener of one owner, or with the connections that a process made itself."""

    code: vocabulary.DiagnosisCode
    severity: vocabulary.Severity
    confidence: vocabulary.Confidence
    summary: str
    evidence: tuple[Evidence, ...]
    signals: Signals
    cause: Cause | None = None
    can_help: tuple[Remedy, ...] = ()
    cannot_help: tuple[Remedy, ...] = ()
    needs: tuple[vocabulary.SignalName, ...] = ()
    """For `unknown`: the signals that would have decided it."""
    outbound: bool = False
    """Of the connections that one process made itself, and of no listener."""
