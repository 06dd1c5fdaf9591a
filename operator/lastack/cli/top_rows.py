"""One row of `lastack top` per listener or client: its numbers, its trouble, how rows are sorted and filtered; pure.

Made by cli.top_looks and by `top --once`, drawn by cli.top_tables.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence

from lastack.cli import diagnosis_documents, diagnosis_texts
from lastack.engine import diagnoses, findings, signals
from lastack.policy import vocabulary

_Name = vocabulary.SignalName


class Order(enum.Enum):
    """By what rows are sorted; `s` goes to the next."""

    TROUBLE = "trouble"
    QUEUE = "queue"
    DROPS = "drops"
    CLOSE_WAIT = "close_wait"
    FILES = "files"
    PORT = "port"
    OWNER = "owner"


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What is shown of one item; None is what is not known, or does not apply to a client."""

    key: tuple[object, ...]
    """The same for the same listener and owner, from look to look."""
    item: diagnosis_documents.Diagnosed
    where: str
    owner: str
    command: str | None
    """Of the owner's main process; None where no owner can be seen."""
    pid: int | None
    netns: int | None
    depth: int | None
    limit: int | None
    drops: float | None
    """Per second."""
    queued: int | None
    unread: int | None
    held: int | None
    outbound: int | None
    files: float | None
    """Open files by their limit, of the fullest process of the owner."""

    @property
    def finding(self) -> findings.Finding:
        """What is wrong."""
        return self.item.finding

    @property
    def fill(self) -> float:
        """The queue by its limit."""
        return self.depth / self.limit if self.depth is not None and self.limit else 0.0

    @property
    def close_wait(self) -> int:
        """CLOSE_WAIT sockets of all classes, as far as known."""
        return sum(count or 0 for count in (self.queued, self.unread, self.held, self.outbound))

    @property
    def diagnosis(self) -> str:
        """The code, and the cause where one was found."""
        cause = self.finding.cause
        if cause is None or cause.kind is vocabulary.CauseKind.UNKNOWN:
            return self.finding.code.value
        return f"{self.finding.code.value}: {cause.kind.value}" + (f" {cause.peer}" if cause.peer else "")


def of(items: Iterable[diagnosis_documents.Diagnosed]) -> list[Row]:
    """A row per item."""
    return [_row(item) for item in items]


def arranged(rows: Sequence[Row], order: Order, words: str) -> list[Row]:
    """The rows in which every one of the words is found, sorted; equals stay as the listener's address says."""
    wanted = words.lower().split()
    kept = [row for row in rows if all(word in _text(row) for word in wanted)]
    kept.sort(key=lambda row: (row.item.port or 0, row.where, row.owner))
    match order:
        case Order.TROUBLE:
            kept.sort(key=lambda row: (diagnoses.rank(row.finding), -row.fill, -row.close_wait))
        case Order.QUEUE:
            kept.sort(key=lambda row: (-row.fill, -(row.depth or 0)))
        case Order.DROPS:
            kept.sort(key=lambda row: -(row.drops or 0.0))
        case Order.CLOSE_WAIT:
            kept.sort(key=lambda row: -row.close_wait)
        case Order.FILES:
            kept.sort(key=lambda row: -(row.files or 0.0))
        case Order.PORT:
            pass
        case Order.OWNER:
            kept.sort(key=lambda row: row.owner)
    return kept


def _row(item: diagnosis_documents.Diagnosed) -> Row:
    measured = item.finding.signals
    listens = item.window is not None

    def whole(name: vocabulary.SignalName) -> int | None:
        found = signals.known(measured.get(name))
        return None if found is None else int(found)

    main = diagnosis_documents.owner_of(item).main
    return Row(
        key=_key(item),
        item=item,
        where=diagnosis_texts.where(item),
        owner=diagnosis_texts.who(item),
        command=main.command if main else None,
        pid=main.pid if main else None,
        netns=item.netns,
        depth=whole(_Name.ACCEPT_QUEUE_DEPTH),
        limit=whole(_Name.ACCEPT_QUEUE_LIMIT),
        drops=signals.known(measured.get(_Name.LISTEN_DROP_RATE)),
        queued=whole(_Name.CLOSE_WAIT_QUEUED) if listens else None,
        unread=whole(_Name.CLOSE_WAIT_UNREAD) if listens else None,
        held=whole(_Name.CLOSE_WAIT_HELD) if listens else None,
        outbound=whole(_Name.CLOSE_WAIT_OUTBOUND),
        files=signals.known(measured.get(_Name.OPEN_FILES_FILL)),
    )


def _key(item: diagnosis_documents.Diagnosed) -> tuple[object, ...]:
    if item.window is not None:
        look = item.window.last
        return ("listener", look.namespace.inode, look.listener.cookie, look.owner.pid)
    if item.outbound is not None:
        return ("client", item.outbound.last.process.pid, item.outbound.last.process.started)
    return ("port", item.port)


def _text(row: Row) -> str:
    return f"{row.where} {row.owner} {row.diagnosis} {row.finding.severity.value} {row.netns}".lower()
