"""A validated document -> the policy that everyone uses; called by loading."""

import hashlib

from lastack.policy import positions, valid
from lastack.policy.schema import amounts, documents, stages, targets, triggers


def policy(document: documents.Document, read: positions.Document, file: str) -> valid.Policy:
    """The policy of a document in which surveying and validation found nothing wrong."""
    spec = document.spec
    return valid.Policy(
        name=valid.PolicyName(document.metadata.name),
        mode=spec.mode,
        target=_target(spec.target),
        ports=frozenset(spec.target.ports),
        probe=_probe(spec.probe),
        sample_every=spec.sample_every,
        triggers=tuple(_trigger(trigger) for trigger in spec.triggers),
        stages=tuple(_stage(stage, spec) for stage in spec.stages if isinstance(stage, stages.Stage)),
        limits=valid.Limits(
            warm_up=spec.limits.warm_up,
            min_process_age=spec.limits.min_process_age,
            cooldown=spec.limits.cooldown,
            restarts=valid.RestartBudget(spec.limits.restarts.max, spec.limits.restarts.per),
            min_available=spec.limits.min_available,
        ),
        text=read.text,
        digest="sha256:" + hashlib.sha256(read.text.encode()).hexdigest(),
        source=f"{file}:{read.at.line}",
    )


def _target(target: targets.Target) -> valid.Target:
    if target.systemd is not None:
        return valid.SystemdTarget(tuple(target.systemd.units))
    # The form holds exactly one of the two.
    return valid.SupervisedTarget("" if target.supervised is None else target.supervised.name)


def _probe(probe: targets.Probe | None) -> valid.HttpProbe | None:
    if probe is None:
        return None
    return valid.HttpProbe(path=probe.http.path, expect=probe.expect, timeout=probe.timeout)


def _trigger(trigger: triggers.Trigger) -> valid.Trigger:
    name, sustained, clear = valid.TriggerName(trigger.name), trigger.sustained_for, trigger.clear_for
    if trigger.all_ is not None:
        return valid.AllTrigger(name, tuple(map(_condition, trigger.all_)), sustained, clear)
    match _condition(trigger):
        case valid.Diagnosed(diagnoses=diagnoses):
            return valid.DiagnosisTrigger(name, diagnoses, sustained, clear)
        case valid.Above(signal=signal, raise_above=raises, clear_below=clears):
            return valid.SignalTrigger(name, signal, raises, clears, sustained, clear)
        case valid.Below() as falling:
            return valid.AllTrigger(name, (falling,), sustained, clear)


def _condition(form: triggers.Trigger | triggers.Condition) -> valid.Condition:
    signal = form.signal
    if signal is None:
        return valid.Diagnosed(frozenset(form.diagnosis or ()))
    if form.raise_below is not None:
        return valid.Below(
            signal,
            amounts.in_own_unit(form.raise_below, signal),
            amounts.in_own_unit(form.clear_above, signal),
        )
    return valid.Above(
        signal, amounts.in_own_unit(form.raise_above, signal), amounts.in_own_unit(form.clear_below, signal)
    )


def _stage(stage: stages.Stage, spec: documents.Spec) -> valid.Stage:
    return valid.Stage(
        name=valid.StageName(stage.name),
        action=_action(stage),
        when=valid.When(
            frozenset(stage.when.diagnosis or ()),
            frozenset(stage.when.cause or ()),
            frozenset(stage.when.not_cause or ()),
            stage.when.confidence,
        ),
        settle=stage.settle,
        mode=stage.mode or spec.mode,
    )


def _action(stage: stages.Stage) -> valid.Action:
    if isinstance(stage, stages.ThreadDumpStage):
        settings = stage.with_
        return valid.ThreadDump(
            settings.count,
            settings.every,
            settings.max_pause,
            settings.wait_at_most,
            settings.native_stacks,
        )
    if isinstance(stage, stages.SysctlStage):
        after = None if stage.restore is None else stage.restore.after
        return valid.SysctlTuning(dict(stage.with_.values), after, stage.with_.scope.value)
    if isinstance(stage, stages.SocketDestroyStage):
        chosen = stage.with_
        return valid.SocketDestroy(chosen.sockets, tuple(chosen.peers), chosen.limit, chosen.pace)
    # A stage form that is new has other settings, and fails the type check here.
    return valid.RollingRestart(stage.with_.ready_within, stage.with_.warm_for)
