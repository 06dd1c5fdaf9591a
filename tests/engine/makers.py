"""Values as the engine's tests need them: looks, windows, findings, policies, circumstances."""

from __future__ import annotations

import dataclasses
import datetime as dt
from array import array
from collections.abc import Mapping, Sequence

from lastack import quantities
from lastack.engine import (
    actions,
    censuses,
    drafts,
    facts,
    findings,
    incidents,
    instants,
    judgements,
    probes,
    samples,
    standings,
    verdicts,
)
from lastack.policy import valid, vocabulary

Code = vocabulary.DiagnosisCode
Mode = vocabulary.Mode
Name = vocabulary.SignalName
BOOT = "boot-1"
A, B = actions.MemberName("a"), actions.MemberName("b")
LIFE = actions.Incarnation("1@1")
SECOND = dt.timedelta(seconds=1)
EPOCH = dt.datetime(2026, 11, 22, 10, 0, tzinfo=dt.UTC)
UP = dt.timedelta(hours=10)


def seconds(count: float) -> dt.timedelta:
    """A span."""
    return dt.timedelta(seconds=count)


def at(second: float = 0, boot_id: str = BOOT) -> instants.Now:
    """An instant, in seconds after the beginning of the test."""
    return instants.Now(EPOCH + seconds(second), UP + seconds(second), boot_id)


def numbers(values: Sequence[int]) -> array[int]:
    """A column."""
    return array("Q", values)


def queued(
    ages: Mapping[int, float] | None = None, *, fins: int = 0, oldest_fin: float = 0
) -> samples.QueuedRows:
    """Waiting rows: cookie to age in seconds."""
    ages = ages or {}
    return samples.QueuedRows(
        numbers(list(ages)), numbers([int(age * 1000) for age in ages.values()]), fins, int(oldest_fin * 1000)
    )


def close_waits(
    ages: Sequence[float] = (), *, unread: int = 0, size: int = 1, first: int = 1
) -> samples.CloseWaitRows:
    """Accepted CLOSE_WAIT rows by age in seconds; the first `unread` of them have `size` bytes that nobody read.

    One is the end of the stream alone.
    """
    cookies = numbers(range(first, first + len(ages)))
    sizes = numbers([size if at < unread else 0 for at in range(len(ages))])
    columns = numbers([int(age * 1000) for age in ages])
    return samples.CloseWaitRows(cookies, cookies, sizes, columns, columns)


def dead(ages: Sequence[float] = (), *, unread: int = 0, first: int = 1) -> samples.DeadSockets:
    """Connections that are over by age in seconds; of the first `unread` of them not everything was read.

    One with the number of a row of close_waits is what became of it.
    """
    sizes = numbers([1 if at < unread else 0 for at in range(len(ages))])
    return samples.DeadSockets(
        numbers(range(first, first + len(ages))), sizes, numbers([int(age * 1000) for age in ages])
    )


EMPTY = queued()


def look(
    second: float = 0,
    *,
    depth: int | None = None,
    waiting: samples.QueuedRows | samples.Missing = EMPTY,
    limit: int = 128,
    drops: int | samples.Missing = 0,
    counters: Mapping[str, int] | samples.Missing | None = None,
    held: samples.CloseWaitRows | None = None,
    vanished_open: int | samples.Missing = 0,
    threads: int | samples.Missing = 4,
    files: int | samples.Missing = 20,
    files_limit: int | samples.Missing = 1024,
    owner: samples.Owner | None = None,
    sysctls: Mapping[str, str] | None = None,
) -> samples.Look:
    """A look at one listener; the depth is the number of waiting rows unless said otherwise."""
    rows = 0 if isinstance(waiting, samples.Missing) else len(waiting.cookies)
    process = samples.ProcessSample(
        samples.Pid(7), samples.Pid(1), "server", seconds(5), files, files_limit, threads, outbound=0
    )
    return samples.Look(
        at=at(second),
        listener=samples.ListenerSample(
            address=samples.ListenerAddress("*", 8080, "inet6"),
            cookie=1,
            depth=rows if depth is None else depth,
            limit=limit,
            drops=drops,
            queued=waiting,
            close_wait=held or close_waits(),
            vanished_open=vanished_open,
            established=3,
            syn_received=1,
            reuseport=False,
            peers=(),
            peers_omitted=0,
        ),
        owner=owner or samples.Owner(samples.Pid(7), (process,)),
        namespace=samples.NamespaceSample(
            9, {"ListenDrops": 0, "ListenOverflows": 0} if counters is None else counters, sysctls or {}
        ),
    )


def window(*looks: samples.Look) -> samples.Window:
    """A window of looks."""
    return samples.Window(looks)


def finding(
    code: Code = Code.ACCEPT_STALL,
    confidence: vocabulary.Confidence = vocabulary.Confidence.HIGH,
    severity: vocabulary.Severity = vocabulary.Severity.CRITICAL,
    signals: findings.Signals | None = None,
) -> findings.Finding:
    """A finding of that code."""
    return findings.Finding(code, severity, confidence, f"this is {code}", (), signals or {})


HEALTHY = finding(Code.HEALTHY, severity=vocabulary.Severity.NONE)
NAMESPACE = samples.NamespaceSample(9, {}, {"net.core.somaxconn": "128"})


def verdict(
    state: verdicts.VerdictState, *, raised: bool | None, since: float = -100, name: str = "stalled"
) -> verdicts.Verdict:
    """A verdict that stands since then."""
    return verdicts.Verdict(
        valid.TriggerName(name),
        state,
        raised,
        at(since) if raised else None,
        at(since) if raised is False else None,
        state is verdicts.VerdictState.FIRING,
        "because",
    )


FIRING = verdict(verdicts.VerdictState.FIRING, raised=True)
PENDING = verdict(verdicts.VerdictState.PENDING, raised=True)
QUIET = verdict(verdicts.VerdictState.CLEAR, raised=False)
UNTOLD = verdict(verdicts.VerdictState.UNKNOWN, raised=None)


def judged(
    name: str = "a",
    *,
    found: Sequence[findings.Finding] | None = None,
    stands: Sequence[verdicts.Verdict] = (FIRING,),
    life: actions.Incarnation | None = LIFE,
    second: float = 0,
    traffic: bool | None = None,
    space: samples.NamespaceSample | None = NAMESPACE,
) -> judgements.Judgement:
    """A judgement: by default of a member that fires with an accept-stall."""
    return judgements.Judgement(
        actions.MemberName(name),
        life,
        at(second),
        tuple([finding()] if found is None else found),
        tuple(stands),
        traffic,
        space,
    )


def well(name: str = "b", *, since: float = -100, **more: object) -> judgements.Judgement:
    """A judgement of a member that is well."""
    stands = [verdict(verdicts.VerdictState.CLEAR, raised=False, since=since)]
    return dataclasses.replace(judged(name, found=[HEALTHY], stands=stands), **more)  # type: ignore[arg-type] # by name


def member(name: str = "a", **more: object) -> censuses.Member:
    """A member that runs for an hour."""
    pid = samples.Pid(7)
    made = censuses.Member(
        actions.MemberName(name), LIFE, (pid,), pid, ready=True, age=dt.timedelta(hours=1), state="running"
    )
    return dataclasses.replace(made, **more)  # type: ignore[arg-type] # fields of the member, by name


STALLED = valid.DiagnosisTrigger(
    valid.TriggerName("stalled"),
    frozenset({Code.ACCEPT_STALL, Code.BACKLOG_TOO_SMALL, Code.FD_LEAK}),
    seconds(4),
    seconds(6),
)
DUMP = valid.Stage(
    valid.StageName("evidence"),
    valid.ThreadDump(3, seconds(1), dt.timedelta(milliseconds=500), seconds(10)),
    valid.When(),
    seconds(0),
    Mode.ENFORCE,
)
TUNE = valid.Stage(
    valid.StageName("tune"),
    valid.SysctlTuning({"net.core.somaxconn": "4096"}, dt.timedelta(hours=1), "member"),
    valid.When(frozenset({Code.BACKLOG_TOO_SMALL})),
    seconds(2),
    Mode.ENFORCE,
)
REPLACE = valid.Stage(
    valid.StageName("replace"),
    valid.RollingRestart(seconds(10), seconds(3)),
    valid.When(frozenset({Code.ACCEPT_STALL, Code.BACKLOG_TOO_SMALL, Code.FD_LEAK})),
    seconds(4),
    Mode.ENFORCE,
)
UNHOOK = valid.Stage(
    valid.StageName("unhook"),
    valid.SocketDestroy(
        vocabulary.SocketKind.STUCK_OUTBOUND, (valid.Peer("10.9.0.7", 7000),), 20, quantities.Rate(5.0)
    ),
    valid.When(causes=frozenset({vocabulary.CauseKind.DOWNSTREAM})),
    seconds(3),
    Mode.ENFORCE,
)
PROBE = valid.HttpProbe("/health", ((200, 200),), seconds(1))
LIMITS = valid.Limits(
    warm_up=seconds(5),
    min_process_age=seconds(5),
    cooldown=seconds(60),
    restarts=valid.RestartBudget(3, dt.timedelta(hours=1)),
    min_available=1,
)


def policy(*, observe: bool = False, **more: object) -> valid.Policy:
    """A policy in enforce with short times: dumps, then somaxconn, then restarts."""
    made = valid.Policy(
        name=valid.PolicyName("api"),
        mode=Mode.OBSERVE if observe else Mode.ENFORCE,
        target=valid.SupervisedTarget("api"),
        ports=frozenset(),
        probe=PROBE,
        sample_every=SECOND,
        triggers=(STALLED,),
        stages=(DUMP, TUNE, REPLACE),
        limits=LIMITS,
        text="kind: RemediationPolicy\n",
        digest="sha256:" + "1" * 64,
        source="api.yaml:1",
    )
    made = dataclasses.replace(made, **more)  # type: ignore[arg-type] # fields of the policy, by name
    if not observe:
        return made
    stages = tuple(dataclasses.replace(stage, mode=Mode.OBSERVE) for stage in made.stages)
    return dataclasses.replace(made, stages=stages)


def slow_to_clear(span: float = 30) -> valid.Policy:
    """The policy, wanting so many seconds of quiet before an incident ends."""
    return policy(triggers=(dataclasses.replace(STALLED, clear_for=seconds(span)),))


def limits(**more: object) -> valid.Limits:
    """The limits with some of them changed."""
    return dataclasses.replace(LIMITS, **more)  # type: ignore[arg-type] # fields of the limits, by name


def stage(of: valid.Stage, **more: object) -> valid.Stage:
    """A stage with some fields changed."""
    return dataclasses.replace(of, **more)  # type: ignore[arg-type] # fields of the stage, by name


STANDING = standings.Standing(started=at(-3600))


def circumstances(
    *,
    of: valid.Policy | None = None,
    members: Sequence[censuses.Member] | None = None,
    seen: Sequence[judgements.Judgement] | None = None,
    standing: standings.Standing = STANDING,
    answers: Sequence[probes.ProbeResult] = (),
    second: float = 0,
) -> drafts.Circumstances:
    """What a decision rests on: by default a is stalled and b is well."""
    members = (member("a"), member("b")) if members is None else members
    seen = (judged("a"), well("b")) if seen is None else seen
    return drafts.Circumstances(
        policy=of or policy(),
        census=censuses.Census(tuple(members)),
        judged={each.member: each for each in seen},
        standing=standing,
        answers={answer.member: answer for answer in answers},
        now=at(second),
        seq=1,
    )


def fact(kind: facts.FactKind, second: float = 0, **more: object) -> facts.Fact:
    """A fact of the incident that `opened` opens."""
    made = facts.Fact(
        kind,
        at(second),
        str(kind),
        incident=actions.IncidentId("api-1"),
        policy=valid.PolicyName("api"),
        policy_hash=policy().digest,
        mode=Mode.ENFORCE,
        target="api",
    )
    return dataclasses.replace(made, **more)  # type: ignore[arg-type] # fields of the fact, by name


def opened(*more: facts.Fact, second: float = -100) -> incidents.Incident:
    """An incident that begins with an accept-stall of `a`, and the facts after that."""
    first = fact(
        facts.FactKind.INCIDENT_OPENED,
        second,
        data={"diagnosis": "accept-stall", "lives": {"a": LIFE, "b": LIFE}, "members": ("a",)},
    )
    incident = incidents.evolve(None, first)
    for each in more:
        incident = incidents.evolve(incident, each)
    assert incident is not None
    return incident
