"""The record: everything that matters after an outage, from the entries and nothing else."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack import errors
from lastack.engine import actions, facts, incidents, reasons
from lastack.policy import valid, vocabulary
from lastack.runbook import handovers, render
from tests import wards
from tests.engine import makers
from tests.engine import stories as engine_stories
from tests.runbook import stories
from tests.runbook.test_markdown import HOSTILE, READER, tags

Kind = facts.FactKind
RECORD = render.record(stories.told(stories.STALL))


def section(record: str, title: str) -> str:
    """The text of one section."""
    found = re.search(rf"^## {title}.*?\n(.*?)(?=^## |\Z)", record, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {title!r}"
    return found[1]


def test_the_title_has_the_outcome() -> None:
    """What one reads in the list of attachments."""
    assert RECORD.startswith("# device-api: accept-stall, healed and verified\n")


def test_the_head_answers_the_first_questions() -> None:
    """What, when, how sure, who, what was touched, under which policy."""
    head = RECORD[: RECORD.index("## What happened")]
    assert "device-api@1.service: nobody accepts" in head
    assert "**Outcome**: **verified**: queue, progress and open files are well" in head
    assert "2026-11-22 10:00:42 UTC to 10:09:52 UTC (9m10s)" in head
    assert "accept-stall at high confidence, cause unknown" in head
    assert "**Changed by lastack**: replaced `device-api@1.service`" in head
    assert "`device-api`, mode enforce" in head


def test_the_timeline_has_every_entry_with_its_time_and_offset() -> None:
    """In order, each by its number in the ledger."""
    rows = section(RECORD, "What happened").strip().splitlines()[2:]
    assert [str(number) for number in range(1, 14)] == [
        row.split(" | ")[0].removeprefix("| ") for row in rows
    ]
    assert (
        "| 8 | 10:01:13 | +31.0s | **begins** Replace device-api@1.service, the first of the rollout |"
        in rows
    )
    assert "| 4 | 10:00:52 | +10.4s | **evidence** 1 files of device-api@1.service are stored |" in rows


def test_the_numbers_stand_against_their_thresholds() -> None:
    """Each signal with what was seen and what it was held against."""
    rows = section(RECORD, "Signals").strip().splitlines()[2:]
    assert [
        "| `device-api@1.service` | `acceptQueue.depth` | 51 | 50 | accept queue 51 of 50, never empty in 30.1 s |",
        "| `device-api@1.service` | `acceptQueue.headAge` | 42.1 | 10 | the head of the queue has waited for 42.1 s |",
        "| `device-api@1.service` | `acceptProgress` | 0 |  | none of the waiting connections was accepted in 30.1 s |",
    ] == rows


def test_the_stuck_stacks_are_shown_as_they_are() -> None:
    """In a block, line by line."""
    assert f"```text\n{stories.TOP}\n```" in section(RECORD, "Where it was stuck")


def test_every_act_says_how_it_ended_and_how_long_it_took() -> None:
    """And every refusal its reason and its numbers."""
    assert "| 10:01:13 | replace | `rollingRestart` Replace device-api@1.service" in section(
        RECORD, "What was done"
    )
    assert "| 1m4s | **done**: device-api@1.service was replaced" in section(RECORD, "What was done")
    assert "| 10:01:12 | tune | `device-api@1.service` | `cannot-help` | this is accept-stall;" in RECORD


def test_says_what_is_left_for_a_human_and_where_to_begin() -> None:
    """The place in the code, the task, the page."""
    left = section(RECORD, "What is left for a human")
    assert "- Begin at `StallApi.backend (StallApi.java:41)`: that is where the threads stood still." in left
    assert "[accept-stall](../runbooks/accept-stall.md)" in left


def test_evidence_and_chain_can_be_checked() -> None:
    """The sum of each file, and the commands."""
    assert (
        f"| `evidence/device-api-k3jq7w2m4a/threads.txt.gz` | threads, grouped | 4096 | `{stories.SHA}` |"
        in RECORD
    )
    check = section(RECORD, "How to check this record")
    assert "lastack incidents show device-api-k3jq7w2m4a" in check
    assert stories.told(stories.STALL)[-1].hash in check


def test_an_open_lease_says_how_it_is_undone() -> None:
    """And one that was given back does not."""
    leased = render.record(stories.told([*stories.STALL[:8], stories.LEASED]))
    assert "lastack sysctl restore net.core.somaxconn" in section(leased, "How to undo it")
    assert "leased `net.core.somaxconn`" not in RECORD
    back = render.record(stories.told([*stories.STALL[:8], stories.LEASED, stories.GIVEN_BACK]))
    assert "Nothing is left to undo" in section(back, "How to undo it")


def test_a_dry_run_says_that_nothing_was_touched() -> None:
    """Observe must never read as if something had been done."""
    simulated = dataclasses.replace(stories.STALL[7], kind=Kind.ACTION_SIMULATED, counterfactual=True)
    record = render.record(stories.told([*stories.STALL[:1], *stories.STALL[4:6], simulated]))
    assert "simulated: nothing was touched" in section(record, "What was done")
    assert "**simulated** (would have) Replace" in record
    assert "**Changed by lastack**: nothing" in record
    assert "## Where it was stuck" not in record


def test_an_open_incident_says_so() -> None:
    """A record is written from the first entry on, and again whenever there is news."""
    first = render.record(stories.told(stories.STALL[:1]))
    assert first.startswith("# device-api: accept-stall, still open\n")
    assert "2026-11-22 10:00:42 UTC and still open at 2026-11-22 10:00:42 UTC" in first
    assert "**Sick members**: none for long enough" in first
    assert "Nothing: no process and no setting was touched." in first
    assert "Nothing was held back." in first
    assert "None was kept." in first
    running = render.record(stories.told(stories.STALL[:8]))
    assert "still running" in section(running, "What was done")


def test_a_suspicion_without_numbers_has_no_table_of_numbers() -> None:
    """An empty table would look as if something had been lost."""
    bare = dataclasses.replace(stories.OPENED, data={"diagnosis": "unknown"})
    assert "## Signals" not in render.record(stories.told([bare]))


def test_an_exhausted_incident_is_handed_over() -> None:
    """The title says that it is still open."""
    ended = stories.fact(600, Kind.INCIDENT_EXHAUSTED, "the ladder ends here: no further stage", {"why": "x"})
    record = render.record(stories.told([*stories.STALL[:9], ended]))
    assert record.startswith("# device-api: accept-stall, handed to a human, still open\n")
    assert "**EXHAUSTED**: the ladder ends here" in record


def test_missing_evidence_is_said_with_the_time_that_was_waited() -> None:
    """Also when there is no file at all."""
    missed = stories.fact(
        60, Kind.EVIDENCE_MISSED, "no evidence of x: py-spy is not installed", {"waited": "20.0s"}
    )
    alone = render.record(stories.told([*stories.STALL[:1], missed]))
    assert "- no evidence of x: py-spy is not installed (waited 20.0s)" in section(alone, "Evidence")
    both = render.record(stories.told([*stories.STALL[:4], missed]))
    assert "- no evidence of x" in section(both, "Evidence")
    assert stories.SHA in section(both, "Evidence")


def test_an_incident_over_midnight_has_dates() -> None:
    """A bare time of day would be ambiguous."""
    closing = dataclasses.replace(stories.STALL[-1], at=stories.later(15 * 3600))
    record = render.record(stories.told([*stories.STALL[:-1], closing]))
    assert "| 2026-11-23 01:00:42 | +15h |" in record
    assert "2026-11-22 10:00:42 UTC to 2026-11-23 01:00:42 UTC (15h)" in record


def test_entries_of_no_incident_are_no_record() -> None:
    """A record of nothing would look like a record."""
    with pytest.raises(errors.InvariantBroken, match="from its first on"):
        render.record(stories.told(stories.STALL[4:6]))


@pytest.mark.parametrize("outcome", [None, *incidents.OutcomeCode])
@pytest.mark.parametrize("diagnosis", list(vocabulary.DiagnosisCode))
def test_every_ending_of_every_disease_has_its_words(
    diagnosis: vocabulary.DiagnosisCode, outcome: incidents.OutcomeCode | None
) -> None:
    """No table lacks a row; what is not healed comes with the most urgent task first."""
    tasks = handovers.tasks(diagnosis, vocabulary.CauseKind.DOWNSTREAM, outcome, ())
    assert all(task.endswith(".") for task in tasks)
    if outcome in (incidents.OutcomeCode.INEFFECTIVE, incidents.OutcomeCode.ABANDONED):
        assert tasks[0].startswith("**")


def test_the_same_entries_give_the_same_bytes() -> None:
    """A record can be rendered again years later and compared."""
    assert RECORD == render.record(stories.told(stories.STALL))


@given(st.sampled_from(HOSTILE), st.sampled_from(HOSTILE))
def test_no_word_of_the_world_gets_out_of_its_place(name: str, said: str) -> None:
    """Members, frames, stacks and sentences: the page has only the tags that we wrote."""
    found = []
    for fact in [*stories.STALL, stories.LEASED]:
        data = {
            key: said if isinstance(value, str) and key in ("top", "frame", "name", "original") else value
            for key, value in fact.data.items()
        }
        member = actions.MemberName(name) if fact.member else None
        stage = valid.StageName(name) if fact.stage else None
        reason = reasons.Reason.COOLDOWN if fact.reason else None
        found.append(
            dataclasses.replace(
                fact, text=said, member=member, stage=stage, reason=reason, data=data, target=name
            )
        )
    page = READER.render(render.record(stories.told(found)))
    ours = {
        "h1",
        "h2",
        "p",
        "ul",
        "li",
        "strong",
        "code",
        "pre",
        "a",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert tags(page) <= ours
    assert 1 == page.count("<h1")
    assert re.findall(r'href="([^"]*)"', page) == ["../runbooks/accept-stall.md"]


def test_a_freed_member_is_told_with_its_cause_and_its_peer() -> None:
    """What was destroyed, for whom people have to look, and the pages of both."""
    stages = (makers.DUMP, makers.TUNE, makers.UNHOOK, makers.REPLACE)
    story = engine_stories.sick(wards.Health.HUNG, policy=makers.policy(stages=stages))
    incident = story.until_closed()
    record = render.record([entry for entry in story.disk.entries() if entry.fact.incident == incident.id])
    assert "accept-stall at high confidence, cause downstream (`10.9.0.7:7000`)" in record
    assert "**Changed by lastack**: destroyed 4 connections to `10.9.0.7:7000`" in record
    left = section(record, "What is left for a human")
    assert "Look at the service that they wait for" in left
    assert "[accept-stall](../runbooks/accept-stall.md)" in left
    assert "[downstream](../runbooks/downstream.md)" in left
