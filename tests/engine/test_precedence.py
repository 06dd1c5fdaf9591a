"""Which disease is named when a listener shows two: every pair whose signatures can hold at once."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import diagnoses, samples, signals
from lastack.engine.diagnoses import (
    accept_stall,
    backlog_too_small,
    fd_exhaustion,
    fd_leak,
    half_close_in_use,
    handler_stall,
    no_disease,
    overload,
    syn_pressure,
)
from lastack.policy import vocabulary
from tests.engine import looks, makers
from tests.engine.looks import DATABASE
from tests.engine.makers import Code, look, queued, window

ROWS = {
    Code.FD_EXHAUSTION: fd_exhaustion.match,
    Code.ACCEPT_STALL: accept_stall.match,
    Code.OVERLOAD: overload.match,
    Code.BACKLOG_TOO_SMALL: backlog_too_small.match,
    Code.HANDLER_STALL: handler_stall.match,
    Code.FD_LEAK: fd_leak.match,
    Code.SYN_PRESSURE: syn_pressure.match,
    Code.UNKNOWN: no_disease.match_unknown,
    Code.HALF_CLOSE_IN_USE: half_close_in_use.match,
}
COOKIES = {"net.ipv4.tcp_syncookies": "1", "net.ipv4.tcp_max_syn_backlog": "128"}
LEAKED = [300.0 + 2 * at for at in range(25)]
STUCK = [300.0] * 8


@dataclasses.dataclass(frozen=True)
class Sickness:
    """What a listener shows, each part by itself; together they are a window of three looks over 5 s."""

    stalled: bool = False
    full: bool = False
    overloaded: bool = False
    bursting: bool = False
    stuck: bool = False
    leaking: bool = False
    flooded: bool = False
    halved: bool = False

    def seen(self) -> samples.Window:
        """A window in which all of it shows."""
        return window(*(self._look(at) for at in (0.0, 2.0, 5.0)))

    def _look(self, at: float) -> samples.Look:
        made = look(
            at,
            waiting=self._queue(at),
            held=self._rows(at),
            files=1024 if self.full else 20,
            drops=int(at * 10) if self.bursting else 0,
            counters=dict.fromkeys(("ListenDrops", "ListenOverflows"), int(at * 10) if self.bursting else 0),
        )
        return looks.seen(
            made,
            handshakes=129 if self.flooded else 1,
            sysctls=COOKIES,
            stands=looks.waiting_for([DATABASE] * 20) if self.stuck else None,
        )

    def _queue(self, at: float) -> samples.QueuedRows:
        if self.stalled:
            return queued({1: 12 + at})
        if self.overloaded:
            begin = int(at * 100)
            return queued({begin + row: 15.0 for row in range(10 if at == 5 else 100)})
        if self.bursting and not self.flooded:
            return queued({int(at * 1000) + row: 0.1 for row in range(2 if at == 5 else 129)})
        return makers.EMPTY

    def _rows(self, at: float) -> samples.CloseWaitRows:
        ages = [age + at for age in (STUCK if self.stuck else []) + (LEAKED if self.leaking else [])]
        ages += [0.4] if self.halved else []
        return makers.close_waits(ages, unread=len(STUCK) if self.stuck else 0)


PAIRS = [
    (Sickness(stalled=True, full=True), Code.FD_EXHAUSTION, Code.ACCEPT_STALL),
    (Sickness(stalled=True, full=True, leaking=True), Code.FD_EXHAUSTION, Code.FD_LEAK),
    (Sickness(stalled=True, full=True, flooded=True), Code.FD_EXHAUSTION, Code.SYN_PRESSURE),
    (Sickness(overloaded=True, full=True), Code.FD_EXHAUSTION, Code.OVERLOAD),
    (Sickness(full=True, stuck=True), Code.FD_EXHAUSTION, Code.HANDLER_STALL),
    (Sickness(full=True, bursting=True), Code.FD_EXHAUSTION, Code.BACKLOG_TOO_SMALL),
    (Sickness(stalled=True, full=True, halved=True), Code.FD_EXHAUSTION, Code.HALF_CLOSE_IN_USE),
    (Sickness(stalled=True, leaking=True), Code.ACCEPT_STALL, Code.FD_LEAK),
    (Sickness(stalled=True, flooded=True), Code.ACCEPT_STALL, Code.SYN_PRESSURE),
    (Sickness(stalled=True, halved=True), Code.ACCEPT_STALL, Code.HALF_CLOSE_IN_USE),
    (Sickness(overloaded=True, bursting=True), Code.OVERLOAD, Code.BACKLOG_TOO_SMALL),
    (Sickness(overloaded=True, stuck=True), Code.OVERLOAD, Code.HANDLER_STALL),
    (Sickness(overloaded=True, leaking=True), Code.OVERLOAD, Code.FD_LEAK),
    (Sickness(overloaded=True, halved=True), Code.OVERLOAD, Code.HALF_CLOSE_IN_USE),
    (Sickness(bursting=True, stuck=True), Code.BACKLOG_TOO_SMALL, Code.HANDLER_STALL),
    (Sickness(bursting=True, leaking=True), Code.BACKLOG_TOO_SMALL, Code.FD_LEAK),
    (Sickness(bursting=True, flooded=True), Code.BACKLOG_TOO_SMALL, Code.SYN_PRESSURE),
    (Sickness(bursting=True, halved=True), Code.BACKLOG_TOO_SMALL, Code.HALF_CLOSE_IN_USE),
    (Sickness(stuck=True, leaking=True), Code.HANDLER_STALL, Code.FD_LEAK),
    (Sickness(stuck=True, flooded=True), Code.HANDLER_STALL, Code.SYN_PRESSURE),
    (Sickness(stuck=True, halved=True), Code.HANDLER_STALL, Code.HALF_CLOSE_IN_USE),
    (Sickness(leaking=True, flooded=True), Code.FD_LEAK, Code.SYN_PRESSURE),
    (Sickness(leaking=True, halved=True), Code.FD_LEAK, Code.HALF_CLOSE_IN_USE),
    (Sickness(flooded=True, halved=True), Code.SYN_PRESSURE, Code.HALF_CLOSE_IN_USE),
]  # fmt: skip
NEVER_TOGETHER = {
    (Code.ACCEPT_STALL, Code.OVERLOAD): "nobody is accepted, or somebody is",
    (Code.ACCEPT_STALL, Code.HANDLER_STALL): "the queue stands, or it moves",
    (Code.OVERLOAD, Code.SYN_PRESSURE): "a queue that is long leaves no room",
}


@pytest.mark.parametrize(("sickness", "named", "shadowed"), PAIRS)
def test_the_first_row_of_the_table_names_the_disease(
    sickness: Sickness, named: Code, shadowed: Code
) -> None:
    """Both rows fit, and the one that explains the other is the diagnosis."""
    seen = sickness.seen()
    measured = signals.measure(seen)
    both = [ROWS[code](seen, measured) for code in (named, shadowed)]
    assert [named, shadowed] == [found.code for found in both if found is not None]
    assert named is diagnoses.diagnose(seen).code


@pytest.mark.parametrize("pair", NEVER_TOGETHER)
def test_rows_that_exclude_each_other_never_fit_together(pair: tuple[Code, Code]) -> None:
    """In no mixture of what a listener can show here do both of them fit."""
    fields = [field.name for field in dataclasses.fields(Sickness)]
    for bits in range(2 ** len(fields)):
        sickness = Sickness(**{name: bool(bits >> at & 1) for at, name in enumerate(fields)})
        seen = sickness.seen()
        measured = signals.measure(seen)
        both = [ROWS[code](seen, measured) is not None for code in pair]
        assert not all(both), sickness


def test_in_every_mixture_the_diagnosis_is_the_first_row_that_fits() -> None:
    """The table is total: whatever shows, there is one answer, and it is that of the order."""
    fields = [field.name for field in dataclasses.fields(Sickness)]
    order = list(ROWS)
    for bits in range(2 ** len(fields)):
        sickness = Sickness(**{name: bool(bits >> at & 1) for at, name in enumerate(fields)})
        seen = sickness.seen()
        measured = signals.measure(seen)
        fits = [code for code in order if ROWS[code](seen, measured) is not None]
        assert (fits[0] if fits else Code.HEALTHY) is diagnoses.diagnose(seen).code, sickness


def test_the_order_of_the_table_is_that_of_the_vocabulary() -> None:
    """But for `unknown`, which stands before the one that says that all is well."""
    order = [code for code in vocabulary.DiagnosisCode if code in ROWS]
    order.remove(Code.UNKNOWN)
    order.insert(order.index(Code.HALF_CLOSE_IN_USE), Code.UNKNOWN)
    assert order == list(ROWS)
    assert tuple(ROWS.values()) == diagnoses.PRECEDENCE


def test_what_is_unexplained_is_not_in_use() -> None:
    """Somebody drops connections, and somebody else streams to a client that finished sending."""
    seen = [
        look(
            at,
            held=makers.close_waits([0.4]),
            drops=drops,
            counters={"ListenDrops": drops, "ListenOverflows": 0},
        )
        for at, drops in ((0, 0), (5, 50))
    ]
    assert Code.UNKNOWN is diagnoses.diagnose(window(*seen)).code
