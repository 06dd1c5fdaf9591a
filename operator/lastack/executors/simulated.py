"""The dry run: an executor for every kind of step that says in a sentence what would be done. Wired by bootstrap."""

from lastack import quantities
from lastack.engine import actions, outcomes


class SimulatedExecutor:
    """Touches nothing, asks nobody."""

    def begin(self, step: actions.Step) -> outcomes.Simulated:
        """What the step would do."""
        return outcomes.Simulated(f"would {_deed(step)}")

    def poll(self, step: actions.Step) -> outcomes.Simulated:
        """The same; a dry run has no duration."""
        return self.begin(step)

    def reconcile(self, step: actions.Step) -> outcomes.NotHappened:
        """Nothing happened, whatever the world looks like."""
        return outcomes.NotHappened(f"a dry run touches nothing: it would {_deed(step)}")


def _deed(step: actions.Step) -> str:
    match step.work:
        case actions.DumpSeries(settings=settings, pids=pids):
            series = f"{settings.count} thread dumps {quantities.short(settings.every)} apart"
            processes = f"{len(pids)} process{'' if len(pids) == 1 else 'es'} ({', '.join(map(str, pids))})"
            return f"take {series} of {step.member}, {processes}"
        case actions.SysctlWrite() as work:
            where = "the host's network namespace" if work.scope == "host" else "the network namespace of"
            owner = where if work.scope == "host" else f"{where} {step.member} (pid {work.pid})"
            return f"set {work.name} from {work.original} to {work.value} in {owner}, inode {work.namespace}"
        case actions.Replacement(settings=settings, probe=probe):
            asked = f", ask {probe.path}" if probe else ""
            ready = f"{asked} and wait up to {quantities.short(settings.ready_within)} until it is ready"
            return f"replace {step.member} (now {step.expected}){ready}"
