"""The answer of `lastack diagnose` for people: a paragraph per sick listener, a line per healthy one.

Called by cli.diagnose; prints through cli.printing.
"""

import collections
import textwrap
from collections.abc import Sequence

from lastack import quantities
from lastack.cli import diagnosis_documents, printing
from lastack.engine import findings
from lastack.policy import sysctls, vocabulary

_TONES = {
    vocabulary.Severity.CRITICAL: printing.Tone.BAD,
    vocabulary.Severity.WARNING: printing.Tone.WARN,
    vocabulary.Severity.NONE: printing.Tone.GOOD,
}
_INDENT = "  "
_MOST_NAMES = 4


def show(answer: diagnosis_documents.Answer) -> None:
    """Print the answer: the sick first, each with what it rests on and what helps, then the others."""
    sick = [item for item in answer.items if item.finding.severity is not vocabulary.Severity.NONE]
    others = [item for item in answer.items if item.finding.severity is vocabulary.Severity.NONE]
    for item in sick:
        _show_sick(item)
    if others:
        printing.table(("LISTENER", "PROCESS", "DIAGNOSIS", ""), [_row(item) for item in others])
    if not answer.items:
        printing.text("no listeners" if not answer.missing else "nothing could be seen")
    _show_missing(diagnosis_documents.missing_rows(answer))
    if others or not answer.items:
        printing.text()
    printing.text(_total(answer, sick))


def _show_sick(item: diagnosis_documents.Diagnosed) -> None:
    found, tone = item.finding, _TONES[item.finding.severity]
    printing.text(
        f"{printing.tinted(found.severity.upper(), tone)} {printing.tinted(found.code, printing.Tone.STRONG)}  "
        f"{_where(item)}  {_who(item)}  (confidence: {found.confidence})"
    )
    _paragraph(found.summary, _INDENT)
    if found.evidence:
        _list("seen", [each.text for each in found.evidence])
    if found.cause is not None:
        _list("cause", [_cause_text(found.cause)])
    peers, omitted = diagnosis_documents.peers_of(item)
    if peers:
        named = [f"{peer.address} ({peer.close_wait})" for peer in peers[:_MOST_NAMES]]
        left = len(peers) - len(named) + omitted
        _list("CLOSE_WAIT by peer", [", ".join(named) + (f" and {left} more" if left else "")])
    _list("can help", [_remedy_text(each) for each in found.can_help])
    _show_in_vain(found)
    printing.text()


def _row(item: diagnosis_documents.Diagnosed) -> list[str | printing.Cell]:
    found = item.finding
    tone = printing.Tone.GOOD if found.code is vocabulary.DiagnosisCode.HEALTHY else printing.Tone.WARN
    return [_where(item), _who(item), printing.Cell(found.code.value, tone), found.summary]


def _show_missing(rows: Sequence[diagnosis_documents.MissingRow]) -> None:
    """What could not be seen, signals with the same reason together."""
    together: dict[tuple[str, str | None], list[diagnosis_documents.MissingRow]] = collections.defaultdict(
        list
    )
    for row in rows:
        if not row.missing.inherent:
            together[row.missing.why, row.missing.fix].append(row)
    if together:
        printing.text()
        printing.text(printing.tinted("not seen", printing.Tone.WARN))
    for (why, fix), those in together.items():
        signals = list(dict.fromkeys(row.signal for row in those))
        members = list(dict.fromkeys(row.member or "this namespace" for row in those))
        _paragraph(f"{_names(signals)} of {_names(members)}: {why}" + (f"; {fix}" if fix else ""), _INDENT)


def _total(answer: diagnosis_documents.Answer, sick: Sequence[diagnosis_documents.Diagnosed]) -> str:
    listeners = sum(1 for item in answer.items if item.window is not None)
    watched = (
        f"watched for {quantities.short(answer.window)}"
        if answer.window
        else "one look, so rates are unknown"
    )
    clients = sum(1 for item in answer.items if item.outbound is not None)
    both = [_counted(listeners, "listener"), *([_counted(clients, "client")] if clients else [])]
    return f"{', '.join(both)}, {len(sick)} sick, {watched}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _where(item: diagnosis_documents.Diagnosed) -> str:
    if item.outbound is not None:
        return "as client"
    return f"port {item.port}" if item.window is None else str(item.window.last.listener.address)


def _who(item: diagnosis_documents.Diagnosed) -> str:
    if item.window is None and item.outbound is None:
        return "nobody"
    owner = diagnosis_documents.owner_of(item)
    main = owner.main
    if main is None:
        return "owner not seen"
    more = f" +{len(owner.processes) - 1}" if len(owner.processes) > 1 else ""
    where = main.unit or (f"container {main.container[:12]}" if main.container else None)
    return printing.plain(f"{main.command} {main.pid}{more}" + (f" {where}" if where else ""))


def _cause_text(cause: findings.Cause) -> str:
    if cause.kind is vocabulary.CauseKind.UNKNOWN and cause.frame is not None:
        return f"unknown; {cause.stuck} of {cause.of} threads stand in {cause.frame} (one dump)"
    if cause.kind is vocabulary.CauseKind.UNKNOWN:
        return "unknown: no thread dump was taken"
    parts = [cause.kind.value, cause.peer, cause.frame]
    counted = f"{cause.stuck} of {cause.of}" if cause.stuck is not None and cause.of is not None else None
    return " ".join(part for part in [*parts, counted] if part)


def _show_in_vain(found: findings.Finding) -> None:
    """What cannot help: those with the same reason on one line, and what is left to be done said once."""
    unmet = sysctls.UNMET[found.code]
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    for each in found.cannot_help:
        reasons[each.why.replace(f"; {unmet}", "")].append(each.remedy)
    said_once = any(unmet in each.why for each in found.cannot_help)
    title = f"cannot help: {unmet.removeprefix('here ')}" if said_once else "cannot help"
    _list(title, [f"{', '.join(names)}: {why}" for why, names in reasons.items()])


def _remedy_text(remedy: findings.Remedy) -> str:
    return f"{remedy.remedy}: {remedy.why}"


def _list(title: str, entries: Sequence[str]) -> None:
    if not entries:
        return
    for line in textwrap.wrap(title, printing.width() - len(_INDENT)):
        printing.text(f"{_INDENT}{printing.tinted(line, printing.Tone.QUIET)}")
    for entry in entries:
        _paragraph(entry, f"{_INDENT}- ", f"{_INDENT}  ")


def _paragraph(words: str, first: str, rest: str | None = None) -> None:
    wrapped = textwrap.wrap(
        printing.plain(words),
        printing.width(),
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in wrapped:
        printing.text(line)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    left = len(names) - _MOST_NAMES
    return printing.plain(shown + (f" and {left} more" if left > 0 else ""))
