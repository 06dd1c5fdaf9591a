"""Whether a valid policy can do what it says; called by loading for each policy that the schema accepts.

Each check is a function of the policy; its findings name the stage or trigger that is meant.
"""

from collections.abc import Callable, Iterator

from lastack import quantities
from lastack.policy import findings, problems, sysctls, valid, vocabulary

Code = vocabulary.DiagnosisCode
Findings = Iterator[findings.Finding]

NOT_SICK = frozenset({Code.HALF_CLOSE_IN_USE, Code.HEALTHY, Code.UNKNOWN})
"""Diagnoses that are no reason to do anything."""


def lint(policy: valid.Policy) -> tuple[findings.Finding, ...]:
    """Everything that is wrong or doubtful about what the policy means."""
    return tuple(finding for check in _CHECKS for finding in check(policy))


def possible(policy: valid.Policy) -> frozenset[Code]:
    """The diagnoses that an incident of this policy can have: any sick one if a trigger looks at bare signals."""
    named = [_named(trigger) for trigger in policy.triggers]
    return (frozenset(Code) if None in named else frozenset[Code]().union(*filter(None, named))) - NOT_SICK


def _named(trigger: valid.Trigger) -> frozenset[Code] | None:
    """The diagnoses without one of which the trigger does not fire; None: it looks at signals alone."""
    named = [each.diagnoses for each in trigger.conditions if isinstance(each, valid.Diagnosed)]
    return frozenset[Code]().union(*named) if named else None


def _words(codes: frozenset[Code] | set[Code]) -> str:
    return ", ".join(sorted(codes))


def _stages(policy: valid.Policy) -> Iterator[tuple[findings.Path, valid.Stage]]:
    return ((("spec", "stages", index), stage) for index, stage in enumerate(policy.stages))


def _applies_to(stage: valid.Stage, possible_codes: frozenset[Code]) -> frozenset[Code]:
    return stage.when.diagnoses & possible_codes if stage.when.diagnoses else possible_codes


def _triggers(policy: valid.Policy) -> Findings:
    """A trigger names diseases, and signals that tell its members apart."""
    for above, condition in _conditions(policy):
        if isinstance(condition, valid.Diagnosed):
            path: findings.Path = (*above, "diagnosis")
            if healthy := condition.diagnoses & NOT_SICK:
                where = findings.written(path)
                message = (
                    f"{where} names {_words(healthy)}, which is no disease; expected diagnoses to act on"
                )
                yield findings.error(path, "not-a-disease", message)
        elif condition.signal in vocabulary.AMBIENT_SIGNALS:
            path = (*above, "signal")
            message = (
                f"{findings.written(path)} is {condition.signal}, which is counted for a whole network namespace: "
                "whoever else listens in it raises it, too"
            )
            yield findings.warning(
                path, "ambient-signal", f"{message}; expected a signal of one listener, like listen.dropRate"
            )


def _conditions(policy: valid.Policy) -> Iterator[tuple[findings.Path, valid.Condition]]:
    """Every condition of every trigger, and the path of what holds its fields."""
    for index, trigger in enumerate(policy.triggers):
        path: findings.Path = ("spec", "triggers", index)
        several = isinstance(trigger, valid.AllTrigger) and len(trigger.conditions) > 1
        for number, condition in enumerate(trigger.conditions):
            yield (*path, "all", number) if several else path, condition


def _reachable(policy: valid.Policy) -> Findings:
    """A stage is for diagnoses that a trigger raises; no error, as a diagnosis can change in mid-incident."""
    can_be = possible(policy)
    for path, stage in _stages(policy):
        here = (*path, "when", "diagnosis")
        if can_be and (never := stage.when.diagnoses - can_be):
            all_of_it = ": no incident opens for this stage" if never == stage.when.diagnoses else ""
            message = f"{findings.written(here)} names {_words(never)}, which no trigger raises{all_of_it}"
            yield findings.warning(here, "never-raised", f"{message}; expected a trigger that does")


def _something_acts(policy: valid.Policy) -> Findings:
    """Where stages act at all, one acts on each diagnosis that is raised."""
    acting = [stage for stage in policy.stages if not isinstance(stage.action, valid.ThreadDump)]
    can_be = possible(policy)
    covered = frozenset[Code]().union(*(_applies_to(stage, can_be) for stage in acting))
    named = {code for trigger in policy.triggers for code in (_named(trigger) or frozenset()) & can_be}
    if acting and (bare := named - covered):
        path: findings.Path = ("spec", "stages")
        message = f"no stage acts on {_words(bare)}, which a trigger raises; expected a stage for it"
        yield findings.warning(path, "nothing-acts", message, "until then a human gets it", of_key=True)


_DISRUPTS: dict[type[valid.Action], str] = {
    valid.RollingRestart: "restarts",
    valid.SocketDestroy: "destroys sockets",
}
"""What a stage that disturbs the service does, as the verb of a sentence."""


def _evidence(policy: valid.Policy) -> Findings:
    """Before a disruption there is evidence, for every diagnosis that it is for; after it, it is too late."""
    can_be = possible(policy)
    dumped: frozenset[Code] | None = None
    restarted = False
    for path, stage in _stages(policy):
        where = findings.written(path)
        if isinstance(stage.action, valid.ThreadDump):
            if restarted:
                message = f"{where} takes evidence after a restart, which ends what it would see"
                yield findings.warning(path, "late-evidence", f"{message}; expected it before the restart")
            dumped = (dumped or frozenset()) | _applies_to(stage, can_be)
        elif (verb := _DISRUPTS.get(type(stage.action))) is not None:
            restarted |= isinstance(stage.action, valid.RollingRestart)
            bare = _applies_to(stage, can_be) - (dumped or frozenset())
            if dumped is None:
                message = f"{where} {verb} without evidence; expected a threadDump stage before it"
                yield findings.error(path, "no-evidence", message)
            elif bare:
                message = f"{where} {verb} on {_words(bare)}, for which no stage before it takes evidence"
                yield findings.warning(path, "no-evidence", f"{message}; expected a threadDump stage for it")


def _causes(policy: valid.Policy) -> Findings:
    """A stage that asks for a cause can be told one, and does not forbid what it asks for."""
    for path, stage in _stages(policy):
        when, here = stage.when, (*path, "when", "cause")
        if not when.causes:
            continue
        if both := when.causes & when.not_causes:
            message = f"{findings.written(here)} and notCause both name {', '.join(sorted(both))}"
            yield findings.error(here, "stage-never-runs", f"{message}; expected each in one of them")
        applies = _applies_to(stage, possible(policy))
        if applies and not applies & vocabulary.CAUSED:
            message = f"{findings.written(here)} asks for a cause, and none is sought for {_words(applies)}"
            expected = f"a stage for {_words(vocabulary.CAUSED)}, or no cause"
            yield findings.error(here, "stage-never-runs", f"{message}; expected {expected}")
        dumps = any(isinstance(one.action, valid.ThreadDump) for one in policy.stages)
        if when.confidence is not vocabulary.Confidence.LOW and not dumps:
            message = (
                f"{findings.written(here)} asks for a cause of {when.confidence} confidence, and without a dump every "
                "cause is of low confidence"
            )
            yield findings.error(here, "stage-never-runs", f"{message}; expected a threadDump stage")


def _sockets(policy: valid.Policy) -> Findings:
    """A stage that destroys sockets has some to destroy, and does more than to wipe a symptom."""
    for path, stage in _stages(policy):
        action = stage.action
        if not isinstance(action, valid.SocketDestroy):
            continue
        settings: findings.Path = (*path, "with")
        if action.sockets is vocabulary.SocketKind.STUCK_OUTBOUND and not action.peers:
            message = (
                f"{findings.written(settings)} has no peers: what a policy does not name is never destroyed"
            )
            expected = "peers, each with its port, like 10.9.0.7:7000"
            yield findings.error(settings, "stage-never-runs", f"{message}; expected {expected}", of_key=True)
        elif action.sockets is not vocabulary.SocketKind.STUCK_OUTBOUND:
            here = (*settings, "sockets")
            message = (
                f"{findings.written(here)} is {action.sockets}: that wipes the symptom, frees no file and no "
                "place in the queue, and leaves the outage as it is"
            )
            yield findings.warning(
                here, "wipes-the-symptom", f"{message}; expected stuckOutbound, or no such stage"
            )


def _dumps_fit(policy: valid.Policy) -> Findings:
    """The last dump of a series is taken before the wait for the series is over."""
    for path, stage in _stages(policy):
        action = stage.action
        if isinstance(action, valid.ThreadDump):
            needed = (action.count - 1) * action.every
            if needed >= action.wait_at_most:
                here = (*path, "with", "waitAtMost")
                message = (
                    f"{findings.written(here)} is {quantities.short(action.wait_at_most)}, but {action.count} dumps "
                    f"{quantities.short(action.every)} apart take {quantities.short(needed)}: the evidence is never "
                    f"complete; expected more than {quantities.short(needed)}"
                )
                yield findings.error(here, "evidence-never-complete", message)


def _tunings(policy: valid.Policy) -> Findings:
    """Sysctls that exist, with values that they take, where they can be written, for something that they can help."""
    for path, stage in _stages(policy):
        if isinstance(stage.action, valid.SysctlTuning):
            for name, value in stage.action.values.items():
                yield from _tuning(policy, (*path, "with", "values", name), stage, stage.action, value)
            yield from _lease(policy, path, stage, stage.action)


def _tuning(
    policy: valid.Policy, path: findings.Path, stage: valid.Stage, action: valid.SysctlTuning, value: str
) -> Findings:
    name = str(path[-1])
    entry = sysctls.CATALOGUE.get(name)
    if entry is None:
        hint = problems.did_you_mean(name, sysctls.CATALOGUE)
        message = f"{problems.bare(name)} is not in the catalogue of sysctls; expected one that is"
        yield findings.error(path, "unknown-sysctl", message, hint, of_key=True)
        return
    if wrong := entry.wrong(value):
        yield findings.error(path, "bad-sysctl-value", f"{name}: {wrong}; expected {entry.grammar}")
    if entry.scope is sysctls.Scope.HOST and action.scope == "member":
        message = f"{name} exists once per host, and scope is member; expected scope: host"
        yield findings.error(path, "host-only-sysctl", message, of_key=True)
    applies = _applies_to(stage, possible(policy))
    if applies and not applies & entry.helps:
        message = f"{name} cannot help against {_words(applies)}: it acts on {entry.acts_on}"
        helped = f"a stage for {_words(entry.helps)}" if entry.helps else "another remedy"
        yield findings.error(path, "sysctl-cannot-help", f"{message}; expected {helped}", of_key=True)


def _lease(
    policy: valid.Policy, path: findings.Path, stage: valid.Stage, action: valid.SysctlTuning
) -> Findings:
    if action.restore_after is None:
        message = (
            f"{findings.written(path)} has no restore.after: its values stay until somebody restores them"
        )
        yield findings.warning(
            path, "no-restore", f"{message}; expected restore: {{after: 7d}} or another time"
        )
    if action.scope == "member" and isinstance(policy.target, valid.SystemdTarget):
        message = (
            f"{findings.written(path)} has scope member: it is refused for every unit that shares the host's network "
            "namespace, as units do without PrivateNetwork="
        )
        yield findings.warning(path, "needs-scope-host", f"{message}; expected scope: host if that is meant")
    entries = [sysctls.CATALOGUE[name] for name in action.values if name in sysctls.CATALOGUE]
    waiting = [entry.name for entry in entries if entry.takes_effect is sysctls.TakesEffect.NEXT_LISTEN]
    after = policy.stages[policy.stages.index(stage) + 1 :]
    applies = _applies_to(stage, possible(policy))
    restarts = [one for one in after if isinstance(one.action, valid.RollingRestart)]
    if waiting and applies and not any(_applies_to(one, applies) for one in restarts):
        message = (
            f"{findings.written(path)} sets {', '.join(waiting)}, which counts from the next listen(), and no later "
            f"stage restarts on {_words(applies)}; expected one, or a restart by hand"
        )
        yield findings.warning(path, "never-takes-effect", message)


def _safety(policy: valid.Policy) -> Findings:
    """What is enforced can be verified and can run, and is aimed at something."""
    restarts = [stage for stage in policy.stages if isinstance(stage.action, valid.RollingRestart)]
    enforced = any(stage.mode is vocabulary.Mode.ENFORCE for stage in restarts)
    if enforced and policy.probe is None:
        message = (
            "spec.probe is missing, and a stage restarts members: whether they serve again is judged without "
        )
        message += "a request; expected probe: {http: {path: /health}} or another path"
        yield findings.warning(("spec",), "no-probe", message, of_key=True)
    available = policy.limits.min_available
    if restarts and isinstance(available, quantities.Share) and available.fraction >= 1:
        path: findings.Path = ("spec", "limits", "minAvailable")
        message = (
            "spec.limits.minAvailable is 100%: no member may ever be restarted; expected less, or a number"
        )
        yield findings.error(path, "stage-never-runs", message)
    if isinstance(policy.target, valid.SystemdTarget):
        for index, unit in enumerate(policy.target.units):
            if not unit.removesuffix(".service").strip("*?"):
                path = ("spec", "target", "systemd", "units", index)
                message = f"{findings.written(path)} is {unit}, which is every service of the host"
                yield findings.error(path, "target-too-wide", f"{message}; expected the units of one service")


_CHECKS: tuple[Callable[[valid.Policy], Findings], ...] = (
    _triggers,
    _reachable,
    _something_acts,
    _evidence,
    _causes,
    _sockets,
    _dumps_fit,
    _tunings,
    _safety,
)
