"""`lastack diagnose`: look for a while, name each listener's disease, say what helps and what cannot."""

import dataclasses
import datetime as dt

import click

from lastack import errors, interruptions, quantities
from lastack.cli import diagnosis_documents, diagnosis_texts, printing, progress
from lastack.engine import diagnoses, samples
from lastack.kernel import clocks, features
from lastack.policy import sysctls, vocabulary
from lastack.sensors import places, sampler, watch


@click.command()
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    help="Only listeners on this port; may be given again.",
)
@click.option(
    "--pid",
    "pids",
    type=click.IntRange(1),
    multiple=True,
    help="Only listeners of this process, in its network namespace; may be given again.",
)
@click.option(
    "--unit",
    "units",
    metavar="UNIT",
    multiple=True,
    help="Only listeners of this systemd unit, in its network namespace; may be given again.",
)
@click.option(
    "--netns",
    metavar="PID|PATH",
    help="In the network namespace of a process, or of a file such as /run/netns/NAME.",
)
@click.option("--all-netns", is_flag=True, help="In every network namespace that has a process.")
@click.option(
    "--for",
    "window",
    metavar="DURATION",
    default="5s",
    show_default=True,
    callback=lambda _context, _option, text: _duration(text),
    help="How long to watch; 0 is one look, which has no rates.",
)
@click.option(
    "--dump/--no-dump",
    default=False,
    help="Take one thread dump of a stuck process, to see where it stands; not by default.",
)
@printing.output_option("text", "json")
@click.pass_context
def diagnose(
    context: click.Context,
    *,
    ports: tuple[int, ...],
    pids: tuple[int, ...],
    units: tuple[str, ...],
    netns: str | None,
    all_netns: bool,
    window: dt.timedelta,
    dump: bool,
    output: str,
) -> None:
    """Say which disease a TCP service has, what can help and what cannot.

    Without a selector every TCP listener of this network namespace is looked at. Selectors of one kind are united,
    of different kinds intersected. Nothing is changed; no rights are needed, but without root the owners of other
    users' sockets stay unknown.

    Exit status: 0 healthy, 1 something is sick, 2 usage, 3 nothing could be seen.
    """
    wanted = places.Wanted(
        ports=frozenset(ports),
        pids=frozenset(samples.Pid(pid) for pid in pids) if pids else None,
        units=frozenset(unit if "." in unit else f"{unit}.service" for unit in units) if units else None,
        netns=netns,
        all_netns=all_netns,
    )
    try:
        with interruptions.raised():
            answer = _answer(wanted, window)
            if dump:
                answer = _with_dumps(answer)
    except KeyboardInterrupt:
        printing.note("interrupted; nothing was changed")
        raise click.exceptions.Exit(interruptions.EXIT_CODE) from None
    if output == "json":
        printing.json_document("DiagnosisList", diagnosis_documents.document(answer))
    else:
        diagnosis_texts.show(answer)
    context.exit(diagnosis_documents.exit_code(answer))


def _answer(wanted: places.Wanted, window: dt.timedelta) -> diagnosis_documents.Answer:
    """Look and judge; what the world does not allow is part of the answer."""
    clock = clocks.SystemClock()
    try:
        eye = sampler.SocketSampler(clock, features.probe(), sysctls.CATALOGUE)
    except errors.WorldError as problem:
        why = samples.Missing(problem.message, problem.fix)
        return diagnosis_documents.Answer(clock.now().wall, window, (), (("netns/self", why),))
    found = places.find(wanted)
    bar = progress.Progress()

    def tell(passed: dt.timedelta) -> None:
        bar.show(f"watching for {quantities.short(window)}: {passed.total_seconds():.0f} s")

    try:
        watched = watch.watch(eye, [place.selection for place in found.places], window, tell)
    finally:
        bar.clear()
    items = [
        diagnosis_documents.Diagnosed(
            diagnoses.diagnose(each), each, each.last.listener.address.port, each.last.namespace.inode
        )
        for each in watched.windows
    ]
    seen = [place.inode for place, looked in zip(found.places, watched.seen, strict=True) if looked]
    if seen:
        heard = {item.port for item in items}
        inode = seen[0] if len(seen) == 1 else None
        items += [
            diagnosis_documents.Diagnosed(diagnoses.not_listening((port,)), None, port, inode)
            for port in sorted(wanted.ports - heard)
        ]
    if not window:
        items = [_at_low_confidence(item) for item in items]
    items.sort(key=lambda item: diagnoses.rank(item.finding))
    missing = dict.fromkeys((*found.missing, *watched.missing))
    return diagnosis_documents.Answer(clock.now().wall, window, tuple(items), tuple(missing))


def _with_dumps(answer: diagnosis_documents.Answer) -> diagnosis_documents.Answer:
    """The answer with what a dump of each stuck process shows; what cannot be dumped is said on stderr."""
    from lastack.cli import diagnosis_dumps  # only when it is asked for

    items = []
    for item in answer.items:
        dumped, missing = diagnosis_dumps.with_cause(item)
        if missing is not None:
            printing.note(f"no thread dump: {printing.lines(missing.why)}")
        items.append(dumped)
    return dataclasses.replace(answer, items=tuple(items))


def _at_low_confidence(item: diagnosis_documents.Diagnosed) -> diagnosis_documents.Diagnosed:
    """One look proves little: even a service that is not there may be in the middle of its restart."""
    finding = dataclasses.replace(item.finding, confidence=vocabulary.Confidence.LOW)
    return dataclasses.replace(item, finding=finding)


def _duration(text: str) -> dt.timedelta:
    try:
        return dt.timedelta(0) if text == "0" else quantities.duration(text)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from problem
