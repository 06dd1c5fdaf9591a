"""One incident and one lease as `lastack incidents` and `lastack sysctl leases` print them. Called by stores, cli."""

from lastack.engine import instants, outcomes, standings
from lastack.runbook import folds

INCIDENT_FIELDS = (
    *("id", "policy", "target", "openedAt", "closedAt", "phase", "outcome", "diagnosis", "cause", "members"),
    *("firstSeq", "lastSeq"),
)
LEASE_FIELDS = (
    *("name", "namespace", "bootId", "original", "desired", "observed", "pid", "scope", "policy", "incident"),
    *("actionId", "since", "until"),
)
"""The order in which people read them; canonical JSON has an order of its own."""


def incident_row(told: folds.Told) -> dict[str, outcomes.Json]:
    """The item of an IncidentList (contracts)."""
    incident = told.incident
    return {
        "id": incident.id,
        "policy": incident.policy,
        "target": incident.target,
        "openedAt": instants.rfc3339(incident.opened_at.wall),
        "closedAt": instants.rfc3339(incident.closed_at.wall) if incident.closed_at else None,
        "phase": incident.phase,
        "outcome": incident.outcome,
        "diagnosis": incident.diagnosis,
        "cause": incident.cause,
        "members": incident.sick or tuple(incident.lives),
        "firstSeq": told.first_seq,
        "lastSeq": told.last_seq,
    }


def lease_row(lease: standings.Lease) -> dict[str, outcomes.Json]:
    """The item of a SysctlLeaseList."""
    return {
        "name": lease.name,
        "namespace": lease.namespace,
        "bootId": lease.boot_id,
        "original": lease.original,
        "desired": lease.desired,
        "observed": lease.observed,
        "pid": lease.pid,
        "scope": lease.scope,
        "policy": lease.policy,
        "incident": lease.incident,
        "actionId": lease.step,
        "since": instants.rfc3339(lease.since),
        "until": instants.rfc3339(lease.until) if lease.until else None,
    }
