"""Why a running unit must not be restarted now. Pure; called by census (to show it) and replacements (to keep it)."""

from lastack.engine import censuses, reasons
from lastack.hosts.systemd import start_limit, units


def hold_of(unit: units.UnitState) -> censuses.Hold | None:
    """The first reason against a restart, None when nothing is against it; of a unit that runs."""
    name = unit.name
    if unit.job is not None:
        return censuses.Hold(reasons.Reason.CHANGE_IN_PROGRESS, f"{name}: {unit.job}")
    if unit.active != "active":
        return censuses.Hold(reasons.Reason.CHANGE_IN_PROGRESS, f"{name} is {unit.active} ({unit.sub})")
    if unit.load == "masked":
        text = (
            f"{name} is masked: somebody forbade every start, so it could be stopped but would not come back"
        )
        return censuses.Hold(reasons.Reason.NOT_PERMITTED, text)
    if not unit.may_be_restarted:
        text = f"{name} refuses to be started or stopped by hand (RefuseManualStart=, RefuseManualStop=)"
        return censuses.Hold(reasons.Reason.NOT_PERMITTED, text)
    if unit.needs_reload:
        text = f"the unit file of {name} changed on disk and `systemctl daemon-reload` is due"
        return censuses.Hold(reasons.Reason.CHANGE_IN_PROGRESS, text)
    limit = start_limit.Limit(unit.start_limit_burst, unit.start_limit_interval)
    unsafe = start_limit.refusal(limit, start_limit.Starts(unit.started, unit.stopped))
    return None if unsafe is None else censuses.Hold(reasons.Reason.START_LIMIT, f"{name}: {unsafe}")
