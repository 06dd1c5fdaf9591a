"""What can help against a finding and what cannot, with the reason. Called by diagnoses and by the ladder's rungs."""

import dataclasses

from lastack.engine import actions, causes, findings, newcomers, samples, signals, thresholds
from lastack.policy import sysctls, valid, vocabulary

_Code = vocabulary.DiagnosisCode
_SOMAXCONN = "net.core.somaxconn"
_NO_DISEASE = frozenset({_Code.HEALTHY, _Code.UNKNOWN, _Code.HALF_CLOSE_IN_USE})

_RESTART: dict[_Code, tuple[bool, str]] = {
    _Code.FD_EXHAUSTION: (True, "gives every file back, until the leak has used them up again"),
    _Code.ACCEPT_STALL: (
        True,
        "frees the stuck workers; it comes back if what they wait for is still not there",
    ),
    _Code.OVERLOAD: (False, "a restart throws the waiting requests away, and the same work arrives again"),
    _Code.BACKLOG_TOO_SMALL: (True, "only so far as listen() is called again, after the limit was raised"),
    _Code.HANDLER_STALL: (
        True,
        "frees the stuck workers; it comes back if what they wait for is still not there",
    ),
    _Code.FD_LEAK: (
        True,
        "gives the held files back, until the leak has used them up again; the code needs a fix",
    ),
    _Code.SYN_PRESSURE: (False, "the handshakes that fill the queue are not the application's"),
    _Code.OUTBOUND_LEAK: (True, "closes the process's own connections; the pool needs an eviction setting"),
    _Code.HALF_CLOSE_IN_USE: (False, "nothing is wrong"),
    _Code.NOT_LISTENING: (False, "what does not run cannot be restarted"),
    _Code.HEALTHY: (False, "nothing is wrong"),
    _Code.UNKNOWN: (False, "what is wrong is not known"),
}
_RESTART_FILLS_AGAIN = (
    "gives every file back; but living connections fill the table, "
    "and clients that are still there come again"
)
_RESTART_ANEW = "frees stuck workers; if it is still starting, it begins its start anew: wait for it first"
_DESTROY: dict[_Code, str] = {
    _Code.FD_EXHAUSTION: "destroying the CLOSE_WAIT sockets wipes the rows: the files stay open",
    _Code.ACCEPT_STALL: "destroying the CLOSE_WAIT sockets wipes the symptom: the queue stays full and nobody accepts",
    _Code.HANDLER_STALL: "destroying the CLOSE_WAIT sockets wipes the symptom: the handlers stand as before",
    _Code.FD_LEAK: "destroying the CLOSE_WAIT sockets wipes the rows: the files stay open",
}
_UNHOOKS = (
    "stuckOutbound: the threads that wait for {peer} get an error at once and go on, without a restart; they wait "
    "again if it still does not answer"
)
_BY_HAND: dict[_Code, tuple[tuple[str, str], ...]] = {
    _Code.FD_EXHAUSTION: (
        (
            "openFilesLimit",
            "a larger LimitNOFILE counts from the next start; against a leak it only buys time",
        ),
        ("closeConnections", "if it came by a leak: the code must close what its clients have closed"),
    ),
    _Code.OVERLOAD: (
        ("capacity", "more workers or more instances, as far as what they wait for can take them"),
        ("shedding", "refuse early what cannot be answered in time: the others are then served in time"),
        ("fasterHandlers", "each request that takes half as long is as good as twice the workers"),
    ),
    _Code.BACKLOG_TOO_SMALL: (
        (
            "applicationBacklog",
            "the application's own argument of listen(), where it is the smaller of the two",
        ),
    ),
    _Code.HANDLER_STALL: (
        ("timeouts", "a time-out on everything that a handler waits for; a thread dump names what it is"),
    ),
    _Code.FD_LEAK: (
        (
            "closeConnections",
            "the code must close what its clients have closed, on every path, errors included",
        ),
    ),
    _Code.NOT_LISTENING: (("startService", "whether it can listen shows only then"),),
}
"""What a human can do, by a name in camelCase; after what lastack could do itself."""


def advise(finding: findings.Finding, window: samples.Window | None) -> findings.Finding:
    """The finding with what can help and what cannot; nothing for one without a disease."""
    if finding.code in _NO_DISEASE:
        return finding
    can: list[findings.Remedy] = []
    cannot: list[findings.Remedy] = []
    restart, why = _RESTART[finding.code]
    cause = finding.cause
    never = causes.RESTART_NEVER_HELPS.get(cause.kind) if cause is not None else None
    why = never or _doubt(finding, window) or why
    restarted = findings.Remedy(vocabulary.ActionKind.ROLLING_RESTART, why)
    (can if restart and never is None else cannot).append(restarted)
    if cause is not None and cause.kind is vocabulary.CauseKind.DOWNSTREAM and cause.peer is not None:
        can.append(findings.Remedy(vocabulary.ActionKind.SOCKET_DESTROY, _UNHOOKS.format(peer=cause.peer)))
    elif finding.code in _DESTROY:
        cannot.append(findings.Remedy(vocabulary.ActionKind.SOCKET_DESTROY, _DESTROY[finding.code]))
    can += [findings.Remedy(name, why) for name, why in _BY_HAND.get(finding.code, ())]
    state = (
        sysctls.SysctlState() if window is None else _state(window.last.namespace, window.last.listener.limit)
    )
    names = [_SOMAXCONN, *(setting.name for setting in sysctls.ORIGIN_SETTINGS)]
    for name in names:
        help_ = sysctls.judge(name, finding.code, state)
        (can if help_.can else cannot).append(findings.Remedy(name, help_.why))
    return dataclasses.replace(finding, can_help=tuple(can), cannot_help=tuple(cannot))


def _doubt(finding: findings.Finding, window: samples.Window | None) -> str | None:
    """Why a restart that can help against the diagnosis may be for nothing here."""
    if window is None:
        return None
    if finding.code is _Code.ACCEPT_STALL and newcomers.starting_for(window) is not None:
        return _RESTART_ANEW
    if finding.code is _Code.FD_EXHAUSTION:
        living = signals.known(finding.signals.get(vocabulary.SignalName.ESTABLISHED))
        limit = signals.known(finding.signals.get(vocabulary.SignalName.OPEN_FILES_LIMIT))
        if living is not None and limit is not None and living >= limit * thresholds.TABLE_OF_DEAD:
            return _RESTART_FILLS_AGAIN
    return None


def advise_outbound(finding: findings.Finding, namespace: samples.NamespaceSample) -> findings.Finding:
    """The finding about a process's own connections with what can help and what cannot; nothing without a disease."""
    if finding.code in _NO_DISEASE:
        return finding
    _, restart = _RESTART[finding.code]
    state = sysctls.SysctlState(current=namespace.sysctls)
    cannot = []
    for setting in sysctls.ORIGIN_SETTINGS:
        help_ = sysctls.judge(setting.name, finding.code, state)
        cannot.append(findings.Remedy(setting.name, help_.why))
    can = (
        findings.Remedy(
            "poolSettings",
            "an idle time-out below that of the server, or a look at the connection before it is used again",
        ),
        findings.Remedy(
            vocabulary.ActionKind.SOCKET_DESTROY,
            "ends what the server has ended long ago; the pool finds those connections broken when it touches them, "
            "and until then their files stay open",
        ),
        findings.Remedy(vocabulary.ActionKind.ROLLING_RESTART, restart),
    )
    return dataclasses.replace(finding, can_help=can, cannot_help=tuple(cannot))


def sysctl_help(
    name: str, finding: findings.Finding, namespace: samples.NamespaceSample, desired: str
) -> sysctls.Help:
    """Whether writing `desired` can help against the finding in this namespace, before anything is written."""
    limit = finding.signals.get(vocabulary.SignalName.ACCEPT_QUEUE_LIMIT)
    state = _state(namespace, limit if isinstance(limit, int) else None)
    return sysctls.judge(name, finding.code, dataclasses.replace(state, desired=desired))


def why_not(
    stage: valid.Stage, code: _Code, namespace: samples.NamespaceSample | None, finding: findings.Finding
) -> str:
    """Why a stage that is for other diagnoses would not help here: a sentence for the refusal."""
    meant = ", ".join(sorted(stage.when.diagnoses))
    if isinstance(stage.action, valid.SysctlTuning) and namespace is not None:
        whys = [
            f"{name}: {sysctl_help(name, finding, namespace, value).why}"
            for name, value in sorted(stage.action.values.items())
        ]
        return f"this is {code}; {'; '.join(whys)}"
    return f"this is {code}; stage {stage.name} ({actions.kind_of(stage.action)}) is for {meant}"


def _state(namespace: samples.NamespaceSample, limit: int | None) -> sysctls.SysctlState:
    return sysctls.SysctlState(current=namespace.sysctls, accept_queue_limit=limit)
