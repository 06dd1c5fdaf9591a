"""syn-pressure and half-close-in-use: handshakes that nobody finishes, and clients that only finished sending."""

from __future__ import annotations

import pytest

from lastack.engine import diagnoses, findings, samples
from lastack.policy import vocabulary
from tests.engine import looks, makers
from tests.engine.makers import Code, look, queued, window

Confidence, Severity = vocabulary.Confidence, vocabulary.Severity
BLIND = samples.Missing("not looked at")
COOKIES = {"net.ipv4.tcp_syncookies": "1", "net.ipv4.tcp_max_syn_backlog": "128"}
NONE = {"net.ipv4.tcp_syncookies": "0", "net.ipv4.tcp_max_syn_backlog": "128"}
WELL = (Code.HEALTHY, Severity.NONE, Confidence.HIGH)


def flooded(
    second: float,
    handshakes: int | samples.Missing,
    *,
    sysctls: dict[str, str] = COOKIES,
    refused: int = 0,
    drops: int = 0,
    limit: int = 128,
    depth: int = 0,
) -> samples.Look:
    """So many unfinished handshakes; the namespace has refused so many, and the listener dropped so many."""
    counters = {
        "ListenDrops": drops,
        "ListenOverflows": 0,
        "TCPReqQFullDoCookies": refused if sysctls.get("net.ipv4.tcp_syncookies") == "1" else 0,
        "TCPReqQFullDrop": 0 if sysctls.get("net.ipv4.tcp_syncookies") == "1" else refused,
    }
    rows = queued({int(second * 1000) + at: 0.1 for at in range(depth)})
    made = look(second, limit=limit, drops=drops, counters=counters, waiting=rows)
    return looks.seen(made, handshakes=handshakes, sysctls=sysctls)


CASES = [
    ("three quarters of the backlog and one, at every look", [flooded(at, 97) for at in (0, 5)],
     (Code.SYN_PRESSURE, Severity.WARNING, Confidence.MEDIUM)),
    ("with cookies sent it is high, and nobody is refused", [flooded(0, 129), flooded(5, 129, refused=500)],
     (Code.SYN_PRESSURE, Severity.WARNING, Confidence.HIGH)),
    ("half of it while cookies are sent is medium", [flooded(0, 5), flooded(5, 65, refused=500)],
     (Code.SYN_PRESSURE, Severity.WARNING, Confidence.MEDIUM)),
    ("less than half is another listener's flood", [flooded(0, 5), flooded(5, 64, refused=500)], WELL),
    ("below three quarters it has room", [flooded(at, 96) for at in (0, 5)], WELL),
    ("at one of the looks it had room", [flooded(0, 5), flooded(5, 129)], WELL),
    ("what was not counted at a look between does not clear it",
     [flooded(0, 129), flooded(2, BLIND), flooded(5, 129)], (Code.SYN_PRESSURE, Severity.WARNING, Confidence.MEDIUM)),
    ("never counted is not told", [flooded(at, BLIND) for at in (0, 5)], WELL),
    ("without cookies three quarters of tcp_max_syn_backlog are all there is: 72 of 96, of which drops are critical",
     [flooded(0, 96, sysctls=NONE), flooded(5, 72, sysctls=NONE, refused=40, drops=40)],
     (Code.SYN_PRESSURE, Severity.CRITICAL, Confidence.HIGH)),
    ("before the first drop that is a warning", [flooded(at, 72, sysctls=NONE) for at in (0, 5)],
     (Code.SYN_PRESSURE, Severity.WARNING, Confidence.MEDIUM)),
    ("without cookies a shorter backlog is the limit",
     [flooded(0, 13, sysctls=NONE, limit=16), flooded(5, 13, sysctls=NONE, limit=16)],
     (Code.SYN_PRESSURE, Severity.WARNING, Confidence.MEDIUM)),
    ("a short look is low", [flooded(at, 129) for at in (0, 1)],
     (Code.SYN_PRESSURE, Severity.WARNING, Confidence.LOW)),
    ("one look is low", [flooded(0, 129)], (Code.SYN_PRESSURE, Severity.WARNING, Confidence.LOW)),
    ("where the settings cannot be read it is low", [flooded(at, 129, sysctls={}) for at in (0, 5)],
     (Code.SYN_PRESSURE, Severity.WARNING, Confidence.LOW)),
    ("where one of them cannot be read it is low",
     [flooded(at, 129, sysctls={"net.ipv4.tcp_syncookies": "0"}) for at in (0, 5)],
     (Code.SYN_PRESSURE, Severity.WARNING, Confidence.LOW)),
    ("an accept queue that is half full keeps handshakes waiting: another disease",
     [flooded(at, 129, depth=64) for at in (0, 5)], WELL),
    ("five of a backlog of 5 are a few slow clients", [flooded(at, 5, limit=5) for at in (0, 5)], WELL),
    ("nobody shakes hands at the last look", [flooded(0, 129), flooded(5, 0, refused=9)], WELL),
]  # fmt: skip


def said(*seen: samples.Look) -> findings.Finding:
    """The finding of a window of these looks."""
    return diagnoses.diagnose(window(*seen))


@pytest.mark.parametrize(("claim", "seen", "expected"), CASES)
def test_a_syn_queue_is_judged_against_the_limit_that_holds(
    claim: str, seen: list[samples.Look], expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence]
) -> None:
    """The backlog and one with syncookies, and no more than three quarters of tcp_max_syn_backlog without."""
    finding = said(*seen)
    assert expected == (finding.code, finding.severity, finding.confidence), claim


@pytest.mark.parametrize(
    ("sysctls", "fits", "beyond", "refusals"),
    [
        (
            COOKIES,
            129,
            "the kernel answers the next with syncookies, so nobody is refused",
            "answered with a cookie",
        ),
        (NONE, 96, "the kernel drops the next, since tcp_syncookies is 0", "dropped"),
        (
            {},
            129,
            "whether the kernel answers more with cookies or drops them is not known",
            "answered with a cookie or dropped",
        ),
    ],
)
def test_it_says_what_the_kernel_does_with_the_next_handshake(
    sysctls: dict[str, str], fits: int, beyond: str, refusals: str
) -> None:
    """With cookies clients get through; without they do not."""
    finding = said(flooded(0, 129, sysctls=sysctls), flooded(5, 129, sysctls=sysctls, refused=7))
    assert f"129 unfinished handshakes fill the SYN queue, which takes {fits}; {beyond}" == finding.summary
    assert (
        f"7 handshakes of this network namespace found it full and were {refusals}"
        == finding.evidence[1].text
    )


@pytest.mark.parametrize(
    ("sysctls", "can"),
    [
        (COOKIES, []),
        (NONE, ["net.ipv4.tcp_max_syn_backlog"]),
    ],
)
def test_what_helps_depends_on_the_cookies(sysctls: dict[str, str], can: list[str]) -> None:
    """tcp_max_syn_backlog is inert with cookies on; a restart never helps."""
    finding = said(*(flooded(at, 129, sysctls=sysctls) for at in (0, 5)))
    assert can == [one.remedy for one in finding.can_help if one.remedy != "net.ipv4.tcp_syncookies"]
    assert "rollingRestart" in {one.remedy for one in finding.cannot_help}


def open_halves(second: float, ages: list[float], sent: list[float]) -> samples.Look:
    """Held rows by age and by the time since data was sent on them."""
    rows = makers.close_waits(ages)
    columns = makers.numbers([int(each * 1000) for each in sent])
    made = look(second, held=rows)
    listener = made.listener
    return samples.Look(
        made.at,
        samples.ListenerSample(
            listener.address,
            listener.cookie,
            listener.depth,
            listener.limit,
            listener.drops,
            listener.queued,
            samples.CloseWaitRows(rows.cookies, rows.inodes, rows.unread, rows.ages_ms, columns),
            0,
            3,
            1,
            reuseport=False,
            peers=(),
            peers_omitted=0,
        ),
        made.owner,
        made.namespace,
    )


IN_USE = [
    ("sent on after the FIN", [open_halves(at, [0.4], [0.4]) for at in (0, 2, 5)],
     (Code.HALF_CLOSE_IN_USE, Severity.NONE, Confidence.HIGH)),
    ("at two looks medium", [open_halves(at, [0.4], [0.4]) for at in (0, 5)],
     (Code.HALF_CLOSE_IN_USE, Severity.NONE, Confidence.MEDIUM)),
    ("sent before the client closed: an answer, as everywhere",
     [open_halves(at, [1 + at], [1.1 + at]) for at in (0, 5)], WELL),
    ("a row that no earlier look had may have been answered before its FIN",
     [look(0), open_halves(5, [0.1], [0.2])], WELL),
    ("within a second of the look it may have been sent before it",
     [open_halves(at, [4], [4.2]) for at in (0, 5)], WELL),
    ("longer ago than 10 s it is not in use", [open_halves(at, [11], [11]) for at in (0, 20)], WELL),
    ("one look does not tell", [open_halves(0, [0.4], [0.4])], (Code.HEALTHY, Severity.NONE, Confidence.LOW)),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "seen", "expected"), IN_USE)
def test_a_half_close_in_use_is_proven_by_data_after_the_fin(
    claim: str, seen: list[samples.Look], expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence]
) -> None:
    """A client that shut down its sending half and is still being answered."""
    finding = said(*seen)
    assert expected == (finding.code, finding.severity, finding.confidence), claim


@pytest.mark.parametrize(
    ("ages", "summary"),
    [
        (
            [0.4],
            "1 connection in CLOSE_WAIT is still in use: the clients have finished sending and are being answered",
        ),
        (
            [0.4, 0.2],
            "2 connections in CLOSE_WAIT are still in use: the clients have finished sending and are being answered",
        ),
    ],
)
def test_it_says_how_many_are_in_use(ages: list[float], summary: str) -> None:
    """Nothing is wrong, and nothing is advised."""
    finding = said(*(open_halves(at, ages, ages) for at in (0, 2, 5)))
    assert (summary, ()) == (finding.summary, finding.can_help + finding.cannot_help)
