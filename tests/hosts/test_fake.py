"""The fake host of the engine's tests keeps the contract of the real ones, in virtual time."""

from __future__ import annotations

import datetime as dt

import pytest

from lastack import ports
from lastack.engine import actions
from lastack.policy import valid
from tests import ward_ports, wards
from tests.contracts import service_host_contract


class VirtualBed:
    """Two members of a ward; a moment passes with every look."""

    def __init__(self) -> None:
        self._clock = wards.FakeClock()
        self._ward = wards.Ward(self._clock, "a", "slow")
        self.target: valid.Target = valid.SupervisedTarget("ward")
        self.member = actions.MemberName("a")
        self.slow_member = actions.MemberName("slow")

    def host(self) -> ports.ServiceHost:
        """Another instance over the same world."""
        self._clock.advance(dt.timedelta(milliseconds=250))
        return ward_ports.FakeHost(self._ward)

    def end_by_itself(self, member: actions.MemberName) -> None:
        """It ends and stays down."""
        self._ward.stop(member)


class TestFakeHost(service_host_contract.ServiceHostContract):
    """The claims, of the fake."""

    @pytest.fixture
    def bed(self) -> VirtualBed:
        """A ward of two."""
        return VirtualBed()
