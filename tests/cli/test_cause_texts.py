"""A cause in words: what is waited for, by how many, and how far that can be trusted."""

import pytest

from lastack.cli import cause_texts
from lastack.engine import findings
from lastack.policy import vocabulary

Kind, Confidence = vocabulary.CauseKind, vocabulary.Confidence
LOW, HIGH = Confidence.LOW, Confidence.HIGH
FRAME = "StallApi.backend (StallApi.java:41)"

SENTENCES = [
    (
        findings.Cause(Kind.DOWNSTREAM, "threadStands", LOW, peer="10.9.0.7:7000", stuck=20, of=20),
        (
            "it waits for a server that it calls, 10.9.0.7:7000: 20 of 20 threads "
            "(low confidence, from where its threads stand)"
        ),
    ),
    (
        findings.Cause(Kind.LOCK, "threadDump", HIGH, frame=FRAME, stuck=8, of=8),
        f"it waits for a lock: 8 of 8 threads in {FRAME} (high confidence, from a thread dump)",
    ),
    (
        findings.Cause(Kind.CPU, "threadStands", LOW, stuck=1),
        "it is busy on the processor: 1 thread (low confidence, from where its threads stand)",
    ),
    (
        findings.Cause(Kind.CPU, "cpuTime", LOW),
        "it is busy on the processor (low confidence, from the processor time of its processes)",
    ),
    (
        findings.Cause(Kind.STOPPED, "processState", LOW, stuck=2, of=3, frame=None),
        (
            "it is stopped, by a signal or a debugger: 2 of 3 worker processes "
            "(low confidence, from the states of its processes)"
        ),
    ),
    (
        findings.Cause(Kind.STOPPED, "processState", LOW, stuck=1, of=1),
        (
            "it is stopped, by a signal or a debugger: 1 of 1 worker process "
            "(low confidence, from the states of its processes)"
        ),
    ),
    (
        findings.Cause(Kind.MEMORY, "cgroup", LOW, frame=FRAME),
        f"its control group waits for memory, in {FRAME} (low confidence, from the counters of its control group)",
    ),
    (
        findings.Cause(Kind.UNKNOWN, None, LOW),
        "unknown: nothing shows from outside; see where its threads stand with --dump",
    ),
    (
        findings.Cause(Kind.UNKNOWN, "threadDump", LOW, frame=FRAME, stuck=8, of=8),
        f"unknown: 8 of 8 threads in {FRAME} (low confidence, from a thread dump)",
    ),
]


@pytest.mark.parametrize(("cause", "expected"), SENTENCES)
def test_a_cause_is_a_sentence_with_its_numbers_and_its_source(cause: findings.Cause, expected: str) -> None:
    """Who reads it knows what to look at next, and how sure it is."""
    assert expected == cause_texts.sentence(cause)


def test_of_a_recording_no_dump_is_suggested_that_would_be_refused() -> None:
    """There is no process behind it; where it was made there may be."""
    assert (
        "unknown: nothing shows from outside; where it was recorded, diagnose --dump shows its threads"
    ) == cause_texts.sentence(findings.Cause(Kind.UNKNOWN, None, LOW), recorded=True)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_words(kind: vocabulary.CauseKind) -> None:
    """Also those that only a dump can tell."""
    assert cause_texts.sentence(findings.Cause(kind, "threadDump", LOW, stuck=1, of=2))
