"""Whether two policies claim one listener; called by loading for each pair of a set."""

from lastack.policy import findings, globs, valid


def conflict(policy: valid.Policy, earlier: valid.Policy) -> findings.Finding | None:
    """The problem of `policy` when some listener would be both its own and that of `earlier`."""
    shared = policy.ports & earlier.ports
    if policy.ports and earlier.ports and not shared:
        return None
    where = _shared_target(policy.target, earlier.target)
    if where is None:
        return None
    path, members = where
    ports = (
        f"on port {', '.join(str(port) for port in sorted(shared))}"
        if shared
        else _unbounded(policy, earlier)
    )
    message = (
        f'policies "{policy.name}" and "{earlier.name}" ({earlier.source}) both claim the listeners '
        f"of {members} {ports}; expected one policy for each listener"
    )
    return findings.error(path, "listener-claimed-twice", message)


def _unbounded(policy: valid.Policy, earlier: valid.Policy) -> str:
    """How the ports meet when one policy names none, which means all."""
    names = [f'"{one.name}"' for one in (policy, earlier) if not one.ports]
    return f"({' and '.join(names)} without ports: all of them)"


def _shared_target(one: valid.Target, other: valid.Target) -> tuple[findings.Path, str] | None:
    match one, other:
        case valid.SystemdTarget(), valid.SystemdTarget():
            for index, unit in enumerate(one.units):
                for earlier in other.units:
                    if globs.overlap(unit, earlier):
                        members = unit if unit == earlier else f"{unit} and {earlier}"
                        return ("spec", "target", "systemd", "units", index), members
        case valid.SupervisedTarget(), valid.SupervisedTarget() if one.name == other.name:
            return ("spec", "target", "supervised", "name"), f"the supervised {one.name}"
        case _:
            pass
    return None
