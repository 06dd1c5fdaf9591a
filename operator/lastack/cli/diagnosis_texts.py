"""The answer of `lastack diagnose` for people: a paragraph per sick listener, a line per healthy one.

Called by cli.diagnose and cli.top; prints through cli.printing.
"""

import collections
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from lastack import quantities
from lastack.cli import cause_texts, diagnosis_documents, printing
from lastack.engine import findings
from lastack.policy import sysctls, vocabulary

_TONES = {
    vocabulary.Severity.CRITICAL: printing.Tone.BAD,
    vocabulary.Severity.WARNING: printing.Tone.WARN,
    vocabulary.Severity.NONE: printing.Tone.GOOD,
}
_INDENT = "  "
_MOST_NAMES = 4


def show(answer: diagnosis_documents.Answer, *, recorded: bool = False) -> None:
    """Print the answer: the sick first, each with what it rests on and what helps, then the others.

    Of what is `recorded` nothing is suggested that takes the process itself.
    """
    sick = [item for item in answer.items if item.finding.severity is not vocabulary.Severity.NONE]
    others = [item for item in answer.items if item.finding.severity is vocabulary.Severity.NONE]
    for item in sick:
        _print(paragraphs(item, printing.width(), recorded=recorded))
        printing.text()
    if others:
        printing.table(("LISTENER", "PROCESS", "DIAGNOSIS", ""), [_row(item) for item in others])
        printing.text()
    if not answer.items:
        printing.text("no listeners" if not answer.missing else "nothing could be seen")
        printing.text()
    _show_missing(diagnosis_documents.missing_rows(answer))
    printing.text(_total(answer, sick))


def paragraphs(item: diagnosis_documents.Diagnosed, width: int, *, recorded: bool = False) -> Iterator[str]:
    """Everything that is known about one finding, in coloured lines of at most that width."""
    found, tone = item.finding, _TONES[item.finding.severity]
    label = "" if found.severity is vocabulary.Severity.NONE else found.severity.upper()
    place, rest = where(item), f"{who(item)}  (confidence: {found.confidence})"
    fits = len(f"{label} {found.code}  {place}  {rest}") <= width
    yield (
        f"{printing.tinted(label, tone)}{' ' if label else ''}"
        f"{printing.tinted(found.code, printing.Tone.STRONG)}  {place}{f'  {rest}' if fits else ''}"
    )
    if not fits:
        yield from _paragraph(rest, width, _INDENT)
    yield from _paragraph(found.summary, width, _INDENT)
    yield from _list("seen", [each.text for each in found.evidence], width)
    if found.cause is not None:
        yield from _list("cause", [cause_texts.sentence(found.cause, recorded=recorded)], width)
    peers, omitted = diagnosis_documents.peers_of(item)
    if peers:
        named = [f"{peer.address} ({peer.close_wait})" for peer in peers[:_MOST_NAMES]]
        left = len(peers) - len(named) + omitted
        text = ", ".join(named) + (f" and {left} more" if left else "")
        yield from _list("CLOSE_WAIT by peer", [text], width)
    yield from _list("can help", [_remedy_text(each) for each in found.can_help], width)
    yield from _in_vain(found, width)


def _row(item: diagnosis_documents.Diagnosed) -> list[str | printing.Cell]:
    found = item.finding
    tone = printing.Tone.GOOD if found.code is vocabulary.DiagnosisCode.HEALTHY else printing.Tone.WARN
    return [where(item), who(item), printing.Cell(found.code.value, tone), found.summary]


def _show_missing(rows: Sequence[diagnosis_documents.MissingRow]) -> None:
    """What could not be seen, signals with the same reason together."""
    together: dict[tuple[str, str | None], list[diagnosis_documents.MissingRow]] = collections.defaultdict(
        list
    )
    for row in rows:
        if not row.missing.inherent:
            together[row.missing.why, row.missing.fix].append(row)
    if not together:
        return
    printing.text(printing.tinted("not seen", printing.Tone.WARN))
    for (why, fix), those in together.items():
        signals = list(dict.fromkeys(row.signal for row in those))
        # A namespace that was not found is named by the reason; it is not this one.
        members = list(dict.fromkeys(row.member or "this namespace" for row in those if not _is_place(row)))
        whose = f" of {_names(members)}" if members else ""
        words = f"{_names(signals)}{whose}: {why}" + (f"; {fix}" if fix else "")
        _print(_paragraph(words, printing.width(), _INDENT))
    printing.text()


def _is_place(row: diagnosis_documents.MissingRow) -> bool:
    return row.member is None and row.signal == diagnosis_documents.LISTENERS


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


def where(item: diagnosis_documents.Diagnosed) -> str:
    """The address of the listener, or what stands in its place."""
    if item.outbound is not None:
        return "as client"
    return f"port {item.port}" if item.window is None else str(item.window.last.listener.address)


def who(item: diagnosis_documents.Diagnosed) -> str:
    """The owner: command, pid, how many more processes, unit or container."""
    if item.window is None and item.outbound is None:
        return "nobody"
    owner = diagnosis_documents.owner_of(item)
    main = owner.main
    if main is None:
        return "owner not seen"
    more = f" +{len(owner.processes) - 1}" if len(owner.processes) > 1 else ""
    where = main.unit or (f"container {main.container[:12]}" if main.container else None)
    return printing.plain(f"{main.command} {main.pid}{more}" + (f" {where}" if where else ""))


def _in_vain(found: findings.Finding, width: int) -> Iterator[str]:
    """What cannot help: those with the same reason on one line, and what is left to be done said once."""
    unmet = sysctls.UNMET[found.code]
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    for each in found.cannot_help:
        reasons[each.why.replace(f"; {unmet}", "")].append(each.remedy)
    said_once = any(unmet in each.why for each in found.cannot_help)
    title = f"cannot help: {unmet.removeprefix('here ')}" if said_once else "cannot help"
    yield from _list(title, [f"{', '.join(names)}: {why}" for why, names in reasons.items()], width)


def _remedy_text(remedy: findings.Remedy) -> str:
    return f"{remedy.remedy}: {remedy.why}"


def _list(title: str, entries: Sequence[str], width: int) -> Iterator[str]:
    if not entries:
        return
    for line in textwrap.wrap(title, width - len(_INDENT)):
        yield f"{_INDENT}{printing.tinted(line, printing.Tone.QUIET)}"
    for entry in entries:
        yield from _paragraph(entry, width, f"{_INDENT}- ", f"{_INDENT}  ")


def _paragraph(words: str, width: int, first: str, rest: str | None = None) -> Iterator[str]:
    yield from textwrap.wrap(
        printing.plain(words),
        width,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        printing.text(line)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    left = len(names) - _MOST_NAMES
    return printing.plain(shown + (f" and {left} more" if left > 0 else ""))
