"""The demo's service: two members on ports of their own, and the clients of each. Values; cli.demo starts them."""

import dataclasses
import sys

from lastack.lab import loads, plans, scenarios

STEADY_CLIENTS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One member: its name, its port, the program that it is."""

    name: str
    port: int
    argv: tuple[str, ...]

    @property
    def load(self) -> loads.Load:
        """Its clients: eight, a tenth of a second apart, who give up after two seconds."""
        return loads.Load(self.name, self.port, clients=STEADY_CLIENTS)


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """Two members that do the same; `sick` is the one that will be made so."""

    well: Member
    sick: Member

    @property
    def members(self) -> tuple[Member, ...]:
        """Both."""
        return (self.well, self.sick)


def warehouse() -> Pair:
    """Two members of a service that looks up stock, each able to stall."""
    setting = scenarios.SCENARIOS[plans.Name.ACCEPT_STALL].setting
    members = [
        Member(
            f"warehouse-{number}",
            8080 + number,
            (sys.executable, "-m", "lastack.lab.services", *setting.arguments(8080 + number)),
        )
        for number in (1, 2)
    ]
    return Pair(*members)
