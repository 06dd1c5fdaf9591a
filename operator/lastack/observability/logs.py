"""Logs: one line per fact and per event of the process, on stderr. The only file that imports structlog.

Called by bootstrap (set up) and by the shell through `Log`. The ledger is the record; a lost log line loses nothing.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from lastack.engine import facts, instants

if TYPE_CHECKING:
    import structlog

_LOUD = frozenset(
    {
        facts.FactKind.INCIDENT_EXHAUSTED,
        facts.FactKind.ACTION_FAILED,
        facts.FactKind.ACTION_INTERRUPTED,
        facts.FactKind.EVIDENCE_MISSED,
        facts.FactKind.POLICY_REJECTED,
        facts.FactKind.TARGET_LOST,
        facts.FactKind.NOTIFICATION_RAISED,
    }
)


def set_up(*, json: bool, to: TextIO | None = None) -> None:
    """Send every log of this process, ours and libraries', to `to` (stderr): JSON lines, or readable ones."""
    import structlog  # here, because it brings rich and asyncio, which `--help` does without

    shared: list[structlog.typing.Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.add_log_level,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        foreign_pre_chain=shared,
    )
    handler = logging.StreamHandler(to or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


class Log:
    """What the shell says; each method is one kind of line."""

    def __init__(self) -> None:
        """Log under the name `lastack`."""
        import structlog  # as in set_up

        self._log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("lastack")

    def facts(self, news: Sequence[facts.Fact]) -> None:
        """One line per fact that was written."""
        for fact in news:
            fields = {
                "kind": fact.kind.value,
                "target": fact.target,
                "member": fact.member,
                "incident": fact.incident,
                "reason": fact.reason,
            }
            said = {name: value for name, value in fields.items() if value is not None}
            say = self._log.warning if fact.kind in _LOUD else self._log.info
            say(fact.text, **said)

    def head(self, seq: int, digest: str, at: instants.Now) -> None:
        """The head of the chain at a checkpoint: with the journal, a ledger that was cut or rolled back shows."""
        self._log.info("ledger checkpoint", seq=seq, head=digest, at=instants.rfc3339(at.wall))

    def notice(self, text: str) -> None:
        """Something that the operator should know."""
        self._log.warning(text)

    def defect(self, what: str, defect: Exception) -> None:
        """A defect of lastack itself, with its traceback."""
        self._log.error(f"a defect of lastack in {what}: {defect}", exc_info=defect)
