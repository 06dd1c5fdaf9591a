"""The judge of the corpus: a proof is worth as much as its ability to fail."""

from typing import Any

import pytest

from tests.corpus import conditions, expectations, shapes
from tests.corpus.servers import python


def cell(condition: str, server: shapes.Server = python.UVICORN) -> shapes.Cell:
    """One cell of the table."""
    (found,) = [each for each in conditions.cells((server,)) if each.condition.name == condition]
    return found


def item(code: str, severity: str, confidence: str = "high", **changes: object) -> dict[str, Any]:
    """An item about the server's listener."""
    made: dict[str, Any] = {
        "member": {"pid": 10},
        "listener": {"address": "127.0.0.1", "port": shapes.PORT, "family": "inet"},
        "code": code,
        "severity": severity,
        "confidence": confidence,
        "cause": None,
        "summary": "",
        "canHelp": [{"remedy": "rollingRestart", "why": ""}] if severity != "none" else [],
    }
    return made | changes


def document(*items: dict[str, Any], missing: tuple[str, ...] = ()) -> dict[str, Any]:
    """A DiagnosisList."""
    rows = [{"signal": name, "member": "pid/10", "inherent": False} for name in missing]
    return {"items": list(items), "missing": rows}


def cause(kind: str, peer: str | None = None) -> dict[str, Any]:
    """A cause as in an item."""
    return {"kind": kind, "peer": peer}


PEER = f"127.0.0.1:{shapes.DOWNSTREAM_PORT}"
STALL = item("accept-stall", "warning")
OTHER = {"address": "127.0.0.1", "port": 7000, "family": "inet"}


@pytest.mark.parametrize(
    ("condition", "answer", "faults", "disruptive"),
    [
        ("lock", document(STALL), 0, 0),
        ("lock", document(item("accept-stall", "warning", cause=cause("lock"))), 0, 0),
        ("lock", document(item("accept-stall", "warning", cause=cause("unknown"))), 0, 0),
        ("lock", document(item("accept-stall", "warning", cause=cause("downstream", PEER))), 1, 0),
        ("downstream", document(item("accept-stall", "warning", cause=cause("downstream", PEER))), 0, 0),
        ("downstream", document(item("accept-stall", "warning", cause=cause("downstream", "x"))), 1, 0),
        ("lock", document(item("healthy", "none")), 1, 0),
        ("lock", document(item("fd-leak", "warning")), 1, 1),
        ("lock", document(item("fd-leak", "warning", "low")), 1, 0),
        ("lock", document(item("overload", "critical", canHelp=[])), 1, 0),
        ("lock", document(item("unknown", "none", "low")), 1, 0),
        ("lock", document(item("unknown", "none", "low"), missing=("workers.stuck",)), 0, 0),
        ("lock", document(item("unknown", "none", "low"), missing=("openFiles.count",)), 1, 0),
        ("lock", document(), 1, 0),
        ("lock", document(STALL, item("accept-stall", "warning", listener=OTHER)), 1, 1),
        ("busy", document(item("healthy", "none")), 0, 0),
        ("busy", document(STALL), 1, 1),
        ("busy", document(item("unknown", "none", "low")), 1, 0),
        ("responses-young", document(item("outbound-leak", "warning", "low", listener=None)), 0, 0),
        ("exhausted", document(item("outbound-leak", "warning", listener=None)), 1, 1),
    ],
)
def test_what_may_be_said_and_what_not(
    condition: str, answer: dict[str, Any], faults: int, disruptive: int
) -> None:
    """Wrong codes, wrong causes and accused bystanders are faults; firm ones that restart are disruptive."""
    verdict = expectations.judge(cell(condition), answer)
    assert (faults, disruptive) == (len(verdict.faults), verdict.disruptive), verdict.faults


def test_a_harmless_condition_may_be_a_disease_of_one_server() -> None:
    """Slow readers hold up the only worker of gunicorn, and nobody else."""
    assert (True, False) == (cell("download", python.GUNICORN_SYNC).sick, cell("download").sick)
