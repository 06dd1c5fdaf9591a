"""Incidents as they could have happened, told as facts; invented, but with the fields that the engine writes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

from lastack.engine import actions, facts, instants, outcomes, reasons
from lastack.policy import valid, vocabulary
from lastack.runbook import chain, entries

Kind = facts.FactKind
START = instants.Now(
    dt.datetime(2026, 11, 22, 10, 0, 42, 120_000, dt.UTC), dt.timedelta(seconds=86_400), "boot-1"
)
FIRST, SECOND = "device-api@1.service", "device-api@2.service"


def later(seconds: float) -> instants.Now:
    """An instant so many seconds after the beginning."""
    span = dt.timedelta(seconds=seconds)
    return instants.Now(START.wall + span, START.steady + span, START.boot_id)


def fact(
    seconds: float,
    kind: facts.FactKind,
    text: str,
    data: Mapping[str, outcomes.Json] | None = None,
    **fields: object,
) -> facts.Fact:
    """A fact of the incident that all these stories tell of."""
    known = {field.name for field in dataclasses.fields(facts.Fact)}
    assert set(fields) <= known
    return dataclasses.replace(
        facts.Fact(
            kind=kind,
            at=later(seconds),
            text=text,
            incident=actions.IncidentId("device-api-k3jq7w2m4a"),
            policy=valid.PolicyName("device-api"),
            policy_hash="sha256:" + "ab" * 32,
            mode=vocabulary.Mode.ENFORCE,
            target="device-api",
            data=data or {},
        ),
        **fields,  # type: ignore[arg-type]  # names are checked above, values by the reader
    )


def act(  # noqa: PLR0917 - a story reads in one order: when, what, which, who
    seconds: float, kind: facts.FactKind, text: str, step: str, member: str, what: str, **data: outcomes.Json
) -> facts.Fact:
    """A fact about one act: `what` is the stage and the action, as in "replace rollingRestart"."""
    stage, action = what.split()
    return fact(
        seconds,
        kind,
        text,
        data,
        member=actions.MemberName(member),
        stage=valid.StageName(stage),
        action=vocabulary.ActionKind(action),
        action_id=actions.StepId(step),
    )


def sick(
    diagnosis: str, *evidence: tuple[str, outcomes.Json, outcomes.Json, str]
) -> dict[str, outcomes.Json]:
    """The data of a finding."""
    return {
        "diagnosis": diagnosis,
        "severity": "critical",
        "confidence": "high",
        "cause": "unknown",
        "evidence": tuple(
            {"signal": signal, "value": value, "limit": limit, "text": text}
            for signal, value, limit, text in evidence
        ),
    }


STALLED = sick(
    "accept-stall",
    ("acceptQueue.depth", 51, 50, "accept queue 51 of 50, never empty in 30.1 s"),
    ("acceptQueue.headAge", "42.1", "10", "the head of the queue has waited for 42.1 s"),
    ("acceptProgress", 0, None, "none of the waiting connections was accepted in 30.1 s"),
)
TOP = """18 threads, did not move: http-8080-exec-3 and 17 more
    StallApi.backend (StallApi.java:41)
    Thread.run (Thread.java:833)"""
SHA = "670e48c7dbaeba7745ef5e0c895dc77bb0681ec39c28e9e99fb44ecd18b1767a"

OPENED = fact(
    0,
    Kind.INCIDENT_OPENED,
    f"{FIRST}: the application has stopped accepting: 51 connections wait, the first for 12 s",
    {**STALLED, "lives": {FIRST: "4711@99", SECOND: "4712@99"}, "members": (FIRST,)},
)
STALL = (
    OPENED,
    act(
        0,
        Kind.ACTION_PLANNED,
        f"Take 3 thread dumps of {FIRST}, 5s apart",
        "evidence-1",
        FIRST,
        "evidence threadDump",
        expected="4711@99",
    ),
    act(
        10.4,
        Kind.ACTION_SUCCEEDED,
        "18 of 20 worker threads stand in StallApi.backend (StallApi.java:41)",
        "evidence-1",
        FIRST,
        "evidence threadDump",
        life="4711@99",
    ),
    act(
        10.4,
        Kind.EVIDENCE_STORED,
        "18 of 20 worker threads stand in StallApi.backend (StallApi.java:41)",
        "evidence-1",
        FIRST,
        "evidence threadDump",
        top=TOP,
        frame="StallApi.backend (StallApi.java:41)",
        files=(
            {
                "path": "evidence/device-api-k3jq7w2m4a/threads.txt.gz",
                "bytes": 4096,
                "sha256": SHA,
                "what": "threads, grouped",
            },
        ),
    ),
    fact(
        30,
        Kind.MEMBER_SICKENED,
        f"{FIRST}: nobody accepts",
        {**STALLED, "life": "4711@99"},
        member=actions.MemberName(FIRST),
    ),
    fact(30, Kind.INCIDENT_FIRED, f"{FIRST}: the symptom lasted for sustainedFor"),
    fact(
        30,
        Kind.ACTION_REFUSED,
        "this is accept-stall; net.core.somaxconn: a longer accept queue only buys room",
        {"subject": "tune/when", "refusal": "cannot-help"},
        member=actions.MemberName(FIRST),
        stage=valid.StageName("tune"),
        action=vocabulary.ActionKind.SYSCTL,
        reason=reasons.Reason.CANNOT_HELP,
    ),
    act(
        31,
        Kind.ACTION_PLANNED,
        f"Replace {FIRST}, the first of the rollout",
        "replace-1",
        FIRST,
        "replace rollingRestart",
        expected="4711@99",
    ),
    act(
        95,
        Kind.ACTION_SUCCEEDED,
        f"{FIRST} was replaced and ready after 63s",
        "replace-1",
        FIRST,
        "replace rollingRestart",
        life="5000@120",
    ),
    fact(
        130,
        Kind.MEMBER_VERIFIED,
        f"{FIRST} is well in its new life",
        {"life": "5000@120"},
        member=actions.MemberName(FIRST),
    ),
    fact(130, Kind.INCIDENT_SETTLED, "every sick member was replaced; settling for 5m", {"settling": True}),
    fact(430, Kind.INCIDENT_SETTLED, "the symptom is gone 5m after acting", {"settling": False}),
    fact(
        550,
        Kind.INCIDENT_RESOLVED,
        "verified: queue, progress and open files are well; the incident lasted 9m10s",
        {"outcome": "verified"},
    ),
)
"""A stall that was healed: three dumps, one refusal, one replacement."""

LEASED = act(
    40,
    Kind.SYSCTL_LEASED,
    "net.core.somaxconn is 4096 until it is given back (128 before)",
    "tune-1",
    FIRST,
    "tune sysctl",
    name="net.core.somaxconn",
    namespace=4026531840,
    bootId="boot-1",
    original="128",
    desired="4096",
    observed="4096",
    pid=4711,
    scope="host",
    until="2026-11-29T10:01:22Z",
)
GIVEN_BACK = act(
    90,
    Kind.SYSCTL_RESTORED,
    "net.core.somaxconn was given back: 4096 to 128",
    "tune-1",
    FIRST,
    "tune sysctl",
    name="net.core.somaxconn",
    namespace=4026531840,
    bootId="boot-1",
)


def told(news: Sequence[facts.Fact], head: chain.Head | None = None) -> list[entries.Entry]:
    """The facts as entries of a chain."""
    found, head = [], head or chain.Head()
    for each in news:
        entry = chain.link(head, each)
        head = chain.head_of(entry)
        found.append(entry)
    return found
