"""What the clients of one member do, as values that fit on a command line. Used by clients, scenarios and demo."""

import dataclasses
import json


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """`clients` ask in a closed loop, `think_ms` apart, and give up after `patience_ms`.

    With `burst` every `burst_every_ms` that many more ask at once, each a single time.
    """

    member: str
    port: int
    clients: int
    think_ms: int = 100
    patience_ms: int = 2000
    burst: int = 0
    burst_every_ms: int = 2000
    path: str = "/work"


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """What became of the requests to one member; `waiting` have been sent and are neither answered nor failed."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    failures: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How many are on their way."""
        return self.sent - self.answered - self.failed


def to_argument(loads: tuple[Load, ...]) -> str:
    """The loads as one argument."""
    return json.dumps([dataclasses.asdict(load) for load in loads])


def from_argument(text: str) -> tuple[Load, ...]:
    """Read what `to_argument` wrote."""
    return tuple(Load(**document) for document in json.loads(text))


def counts_to_json(counts: dict[str, Count]) -> str:
    """Counters by member, as the clients write them."""
    return json.dumps({name: dataclasses.asdict(count) for name, count in counts.items()})


def counts_from_json(text: str) -> dict[str, Count]:
    """Read what `counts_to_json` wrote."""
    return {name: Count(**document) for name, document in json.loads(text).items()}
