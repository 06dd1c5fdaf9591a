"""From windows of looks to the answer of `lastack diagnose`; pure. Called by cli.diagnose, live and in a replay."""

import dataclasses
import datetime as dt
from collections.abc import Sequence

from lastack.cli import diagnosis_documents
from lastack.engine import diagnoses, samples
from lastack.policy import vocabulary


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What was looked at, live or in a recording.

    `namespaces` are the inodes of those that could be seen; `window` is how long was watched, zero for one look.
    """

    windows: Sequence[samples.Window]
    outbound: Sequence[samples.OutboundWindow]
    namespaces: Sequence[int]
    missing: Sequence[tuple[str, samples.Missing]]
    window: dt.timedelta
    at: dt.datetime


def judge(ports: frozenset[int], seen: Seen) -> diagnosis_documents.Answer:
    """Judge every listener, the worst first; a port that was asked for and has no listener is an item too.

    So is each process that has connections of its own whose other side has closed, unless ports were asked for: they
    select listeners. Nothing is concluded from the absence of a listener where no namespace could be seen.
    """
    items = [
        diagnosis_documents.Diagnosed(
            diagnoses.diagnose(each), each, each.last.listener.address.port, each.last.namespace.inode
        )
        for each in seen.windows
    ]
    if not ports:
        items += [
            diagnosis_documents.Diagnosed(
                diagnoses.diagnose_outbound(each), None, None, each.last.namespace.inode, each
            )
            for each in seen.outbound
        ]
    if seen.namespaces:
        heard = {item.port for item in items}
        inode = seen.namespaces[0] if len(seen.namespaces) == 1 else None
        items += [
            diagnosis_documents.Diagnosed(diagnoses.not_listening((port,)), None, port, inode)
            for port in sorted(ports - heard)
        ]
    if not seen.window:
        items = [_at_low_confidence(item) for item in items]
    items.sort(key=lambda item: diagnoses.rank(item.finding))
    return diagnosis_documents.Answer(seen.at, seen.window, tuple(items), tuple(dict.fromkeys(seen.missing)))


def _at_low_confidence(item: diagnosis_documents.Diagnosed) -> diagnosis_documents.Diagnosed:
    """One look proves little: even a service that is not there may be in the middle of its restart."""
    finding = dataclasses.replace(item.finding, confidence=vocabulary.Confidence.LOW)
    return dataclasses.replace(item, finding=finding)
