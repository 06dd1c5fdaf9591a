"""What a valid policy cannot mean: one case for each check."""

import pytest

from lastack.policy import lint, loading
from tests.policy import documents

DUMP = "    - {name: evidence, action: threadDump, with: {count: 3, every: 5s}}\n"
RESTART = "    - {name: replace, action: rollingRestart, with: {readyWithin: 2m}}\n"
UNHOOK = "    - {name: unhook, action: socketDestroy, with: {sockets: stuckOutbound, peers: [10.9.0.7]}}\n"
DROPPING = "    - {name: dropping, signal: listen.dropRate, raiseAbove: 0.05/s, clearBelow: 0.01/s}\n"
TUNE_WHEN = "      when: {diagnosis: [backlog-too-small]}\n"
SOMAXCONN = 'net.core.somaxconn: "4096"'

CASES = {
    "a trigger on health": (
        [("[accept-stall, fd-leak]", "[accept-stall, healthy]")],
        "12:34 error not-a-disease",
    ),
    "a stage for what no trigger raises": (
        [
            (DROPPING, ""),
            ("with: {readyWithin: 2m}", "when: {diagnosis: [not-listening]}"),
            (
                TUNE_WHEN,
                "      when: {diagnosis: [backlog-too-small]}\n      mode: observe\n",
            ),
            ("accept-stall, fd-leak", "accept-stall, backlog-too-small"),
        ],
        "21:65 warning never-raised, 13:3 warning nothing-acts, 15:7 warning never-takes-effect",
    ),
    "a stage for what no trigger raises, in part": (
        [
            (DROPPING, ""),
            ("accept-stall, fd-leak", "accept-stall, backlog-too-small"),
            (
                "with: {readyWithin: 2m}",
                "when: {diagnosis: [accept-stall, backlog-too-small, fd-leak]}",
            ),
        ],
        "20:65 warning never-raised",
    ),
    "a diagnosis on which nothing acts": (
        [
            (DROPPING, ""),
            ("accept-stall, fd-leak", "accept-stall, backlog-too-small, not-listening"),
            (
                "with: {readyWithin: 2m}",
                "when: {diagnosis: [accept-stall, backlog-too-small]}",
            ),
        ],
        "13:3 warning nothing-acts",
    ),
    "a cause that is asked for and forbidden": (
        [("{name: replace, ", "{name: replace, when: {cause: [lock, cpu], notCause: [lock]}, ")],
        "21:37 error stage-never-runs",
    ),
    "a cause where none is sought": (
        [("{name: replace, ", "{name: replace, when: {diagnosis: [fd-leak], cause: [lock]}, ")],
        "21:59 error stage-never-runs, 14:3 warning nothing-acts, 16:7 warning never-takes-effect",
    ),
    "a cause that no dump tells, and a batch without evidence": (
        [
            (DUMP, ""),
            (RESTART, UNHOOK.replace("with:", "when: {cause: [downstream], confidence: high}, with:")),
        ],
        "20:7 error no-evidence, 20:59 error stage-never-runs, 15:7 warning never-takes-effect",
    ),
    "connections of nobody": (
        [(RESTART, UNHOOK.replace("10.9.0.7", "") + RESTART)],
        "21:45 error stage-never-runs",
    ),
    "a symptom to wipe": (
        [(RESTART, UNHOOK.replace("stuckOutbound", "closeWait.held") + RESTART)],
        "21:61 warning wipes-the-symptom",
    ),
    "a restart without evidence": ([(DUMP, "")], "20:7 error no-evidence"),
    "a restart whose evidence is for other diagnoses": (
        [
            (
                "with: {count: 3, every: 5s}",
                "when: {diagnosis: [accept-stall, backlog-too-small]}",
            )
        ],
        "21:7 warning no-evidence",
    ),
    "evidence after the restart": (
        [(DUMP, ""), (RESTART, RESTART + DUMP)],
        "20:7 error no-evidence, 21:7 warning late-evidence",
    ),
    "a series that cannot end in time": (
        [("every: 5s", "every: 30s, waitAtMost: 1m")],
        "15:85 error evidence-never-complete",
    ),
    "a sysctl that nobody knows": (
        [("net.core.somaxconn", "net.core.somaxcon")],
        "19:36 error unknown-sysctl",
    ),
    "a value that a sysctl does not take": (
        [('"4096"', '"0"')],
        "19:56 error bad-sysctl-value",
    ),
    "one number for three": (
        [(SOMAXCONN, "net.ipv4.tcp_rmem: 4096")],
        "19:36 error sysctl-cannot-help, 19:55 error bad-sysctl-value",
    ),
    "three numbers in a wrong order": (
        [(SOMAXCONN, "net.ipv4.tcp_rmem: 4096 87380 16")],
        "19:36 error sysctl-cannot-help, 19:55 error bad-sysctl-value",
    ),
    "a sysctl that can help nothing here": (
        [(SOMAXCONN, 'net.ipv4.tcp_fin_timeout: "30"')],
        "19:36 error sysctl-cannot-help",
    ),
    "a sysctl for another diagnosis": (
        [(SOMAXCONN, "net.ipv4.tcp_syncookies: 1")],
        "19:36 error sysctl-cannot-help",
    ),
    "a sysctl of the host in a member's namespace": (
        [
            ("scope: host", "scope: member"),
            (SOMAXCONN, SOMAXCONN + ", net.core.rmem_max: 8388608"),
        ],
        "16:7 warning needs-scope-host, 19:66 error host-only-sysctl, 19:66 error sysctl-cannot-help",
    ),
    "a lease without an end": (
        [("      restore: {after: 7d}\n", "")],
        "16:7 warning no-restore",
    ),
    "units in the host's own namespace": (
        [("scope: host", "scope: member")],
        "16:7 warning needs-scope-host",
    ),
    "a setting that waits for a restart that does not come": (
        [(RESTART, "")],
        "14:3 warning nothing-acts, 16:7 warning never-takes-effect",
    ),
    "restarts that are enforced without a probe": (
        [("  probe: {http: {path: /health}, expect: 200-399, timeout: 3s}\n", "")],
        "4:1 warning no-probe",
    ),
    "a share that is all": (
        [("minAvailable: 1", "minAvailable: 100%")],
        "22:71 error stage-never-runs",
    ),
    "a signal that is of a whole namespace": (
        [("signal: listen.dropRate", "signal: listen.overflowRate")],
        "13:32 warning ambient-signal",
    ),
    "a condition that is no disease": (
        [(DROPPING, "    - {name: x, all: [{diagnosis: [healthy]}, {diagnosis: [backlog-too-small]}]}\n")],
        "13:35 error not-a-disease",
    ),
    "a diagnosis among other conditions, on which nothing acts": (
        [
            (
                DROPPING,
                "    - {name: x, all: [{diagnosis: [overload]}, {signal: threads, raiseAbove: 9, clearBelow: 1}]}\n",
            ),
            ("with: {readyWithin: 2m}", "when: {diagnosis: [accept-stall, fd-leak]}"),
        ],
        "14:3 warning nothing-acts, 18:25 warning never-raised",
    ),
    "every service of the host": (
        [("api@*.service", "*.service")],
        "7:23 error target-too-wide",
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_what_a_policy_cannot_mean_is_said_where_it_stands(what: str) -> None:
    """Each check finds its case, at the field that is meant, and nothing else."""
    edits, expected = CASES[what]
    loaded = loading.load({"p.yaml": documents.edited(*edits).encode()})
    found = sorted(f"{one.line}:{one.column} {one.severity} {one.code}" for one in loaded.problems)

    assert sorted(expected.split(", ")) == found, "\n".join(map(str, loaded.problems))


def test_the_messages_name_stage_setting_and_reason() -> None:
    """An ops person reads what is wrong, why, and what would do."""
    text = documents.edited((SOMAXCONN, 'net.ipv4.tcp_fin_timeout: "30"'), (DUMP, ""))
    loaded = loading.load({"p.yaml": text.encode()})

    useless = (
        "p.yaml:18:36: error: net.ipv4.tcp_fin_timeout cannot help against backlog-too-small: it acts on orphaned "
        "FIN_WAIT2, which is the other side of a CLOSE_WAIT; expected another remedy"
    )
    blind = (
        "p.yaml:20:7: error: spec.stages[1] restarts without evidence; expected a threadDump stage before it"
    )
    assert [useless, blind] == [str(problem) for problem in loaded.problems]


def test_a_policy_that_only_looks_needs_no_probe_and_no_acting_stage() -> None:
    """Evidence alone is a policy."""
    text = documents.VALID[: documents.VALID.index("    - name: tune")].replace(
        "mode: enforce", "mode: observe"
    )

    assert () == loading.load({"p.yaml": text.encode()}).problems


def test_signal_triggers_make_every_sick_diagnosis_possible() -> None:
    """A bare signal fires whatever the diagnosis is, so a stage may be for any disease."""
    (policy,) = loading.load({"p.yaml": documents.VALID.encode()}).policies

    assert {
        "fd-exhaustion",
        "accept-stall",
        "overload",
        "backlog-too-small",
        "handler-stall",
        "fd-leak",
        "syn-pressure",
        "outbound-leak",
        "not-listening",
    } == lint.possible(policy)
