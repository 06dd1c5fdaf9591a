"""`lastack diagnose`: look for a while, name each listener's disease, say what helps and what cannot."""

from __future__ import annotations

import datetime as dt
import pathlib
import textwrap
from typing import TYPE_CHECKING

import click

from lastack import errors, interruptions, quantities
from lastack.cli import printing, selecting

if TYPE_CHECKING:
    from lastack.sensors import places


@click.command()
@selecting.options
@click.option(
    "--for",
    "window",
    metavar="DURATION",
    default="5s",
    show_default=True,
    callback=selecting.window,
    help="How long to watch; 0 is one look, which has no rates.",
)
@click.option(
    "--dump/--no-dump",
    default=False,
    help="Take one thread dump of a stuck process, to see where it stands; not by default.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=pathlib.Path, readable=False),
    metavar="FILE",
    help="Judge what `lastack record` wrote instead of looking; the last --for of it.",
)
@click.option(
    "--at",
    metavar="TIME|OFFSET",
    callback=lambda _context, _option, text: None if text is None else _instant(text),
    help="With --replay: the window ends then, as 2026-11-22T10:00:42Z or 30s after the first look.",
)
@printing.output_option("text", "json")
@click.pass_context
def diagnose(
    context: click.Context,
    *,
    port_numbers: tuple[int, ...],
    pids: tuple[int, ...],
    units: tuple[str, ...],
    netns: tuple[str, ...],
    all_netns: bool,
    window: dt.timedelta,
    dump: bool,
    replay: pathlib.Path | None,
    at: dt.timedelta | dt.datetime | None,
    output: str,
) -> None:
    """Say which disease a TCP service has, what can help and what cannot.

    Without a selector every TCP listener of this network namespace is looked at. Selectors of one kind are united,
    of different kinds intersected. Nothing is changed; no rights are needed, but without root the owners of other
    users' sockets stay unknown.

    Exit status: 0 healthy, 1 something is sick, 2 usage, 3 nothing could be seen.
    """
    from lastack.cli import diagnosis_documents, diagnosis_looks, diagnosis_texts  # not for --help

    wanted = selecting.wanted(port_numbers, pids, units, netns, all_netns=all_netns)
    if replay is not None:
        _refuse_what_needs_a_machine(wanted, dump=dump)
        context.exit(_replay(replay, wanted.ports, window, at, output))
    if at is not None:
        raise errors.UsageError("--at says where in a recording to look: it needs --replay FILE")
    try:
        with interruptions.raised():
            answer = diagnosis_looks.answer(wanted, window)
            if dump:
                answer = diagnosis_looks.with_dumps(answer)
    except KeyboardInterrupt:
        printing.note("interrupted; nothing was changed")
        raise click.exceptions.Exit(interruptions.EXIT_CODE) from None
    if output == "json":
        printing.json_document("DiagnosisList", diagnosis_documents.document(answer))
    else:
        diagnosis_texts.show(answer)
    context.exit(diagnosis_documents.exit_code(answer))


def _refuse_what_needs_a_machine(wanted: places.Wanted, *, dump: bool) -> None:
    """A recording holds what was seen; there is nothing behind it to look into."""
    given = {
        "--netns": bool(wanted.netns),
        "--all-netns": wanted.all_netns,
        "--pid": wanted.pids is not None,
        "--unit": wanted.units is not None,
        "--dump": dump,
    }
    wrong = [option for option, is_given in given.items() if is_given]
    if wrong:
        raise errors.UsageError(
            f"--replay cannot be combined with {', '.join(wrong)}: a recording is of the namespaces and processes "
            "that were selected when it was made, and none of them can be looked into now",
            fix="leave it out; --port narrows what is shown",
        )


def _replay(
    file: pathlib.Path,
    port_numbers: frozenset[int],
    window: dt.timedelta,
    at: dt.timedelta | dt.datetime | None,
    output: str,
) -> int:
    """Judge a recording; the exit code is that of a look."""
    from lastack.cli import diagnosis_documents, diagnosis_texts, replaying  # not for --help

    found = replaying.replay(file, port_numbers, window, at)
    for note in found.notes:
        printing.note(printing.lines(note))
    if output == "json":
        document = {**diagnosis_documents.document(found.answer), **found.document()}
        printing.json_document("DiagnosisList", document)
    else:
        diagnosis_texts.show(found.answer, recorded=True)
        for line in textwrap.wrap(printing.plain(found.sentence()), printing.width(), break_on_hyphens=False):
            printing.text(line)
    return diagnosis_documents.exit_code(found.answer)


def _instant(text: str) -> dt.timedelta | dt.datetime:
    from lastack.engine import instants  # not for --help

    for read in (quantities.duration, instants.from_rfc3339):
        try:
            return read(text)
        except ValueError:
            continue
    raise click.BadParameter(
        f"{text!r} is no instant; expected a time in UTC like 2026-11-22T10:00:42Z, or a duration like 30s"
    )
