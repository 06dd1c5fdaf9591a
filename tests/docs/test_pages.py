"""Pages link to what is there, show commands that exist, and say what the code says."""

import datetime as dt
import pathlib
import re
import shlex

import click
import pytest

from lastack import cli
from lastack.cli import diagnosis_documents
from lastack.engine import facts, incidents
from lastack.policy import vocabulary
from lastack.runbook import entries
from lastack.stores import recordings
from tests.docs import generated, pages

PAGES = pytest.mark.parametrize("page", pages.every(), ids=lambda page: str(page.relative_to(pages.ROOT)))
PROGRAM = re.compile(r"(?:sudo )?(?:\.venv/bin/|/opt/lastack/\.venv/bin/)?lastack (.*)")
LEDGER = pages.DOCS / "reference" / "ledger.md"
DIAGNOSE = pages.DOCS / "reference" / "diagnose-json.md"


@PAGES
def test_links_lead_to_pages_and_headings_that_are_there(page: pathlib.Path) -> None:
    """Links inside the repository are relative; their anchors are headings of the page."""
    broken = []
    for link in pages.links(page):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in pages.anchors(target)):
            broken.append(link)
    assert [] == broken


@PAGES
def test_every_page_of_docs_is_linked_from_another(page: pathlib.Path) -> None:
    """A page that nobody links to is not found."""
    if not page.is_relative_to(pages.DOCS):
        return
    sources = [other for other in pages.every() if other != page]
    linked = {
        (other.parent / link.partition("#")[0]).resolve() for other in sources for link in pages.links(other)
    }
    assert page.resolve() in linked


@PAGES
def test_commands_that_a_page_shows_are_understood(page: pathlib.Path) -> None:
    """Each lastack command of a sh block is read by the real command line; each make target exists."""
    targets = set(re.findall(r"^([a-z-]+):", pages.text(pages.ROOT / "Makefile"), re.MULTILINE))
    for line in pages.shell_lines(page):
        if line.startswith("make "):
            assert shlex.split(line)[1] in targets, line
        called = PROGRAM.fullmatch(line)
        if called is not None:
            _understood(shlex.split(re.split(r"\s[|>]|;|&", called[1])[0]), line)


def _understood(words: list[str], line: str) -> None:
    context, rest = click.Context(cli.group, info_name="lastack"), words
    known: click.Command = cli.group
    while isinstance(known, click.Group):
        assert rest, f"{line}: a command is missing"
        found = known.get_command(context, rest[0])
        assert found is not None, f"{line}: there is no command {rest[0]!r}"
        context, known, rest = click.Context(found, info_name=rest[0], parent=context), found, rest[1:]
    _, left, _ = known.make_parser(context).parse_args(args=list(rest))
    assert [] == left, f"{line}: too many words"


@pytest.mark.parametrize("name", generated.PARTS)
def test_what_the_code_writes_into_pages_is_up_to_date(name: str) -> None:
    """Commands, reasons, thresholds, settings, layers and the ladder are rendered from the code."""
    page, part = generated.PARTS[name]
    renew = f"renew {page.relative_to(pages.ROOT)} with .venv/bin/python -m tests.docs.generated"
    assert generated.renewed(page, name, part()) == pages.text(page), renew


def test_the_page_of_the_ledger_has_every_kind_of_entry() -> None:
    """And no other."""
    assert sorted(facts.FactKind) == sorted(pages.first_column(LEDGER, "## Kinds of entries"))


def test_the_page_of_the_ledger_has_every_field_of_an_entry() -> None:
    """In the order in which they are written."""
    assert list(entries.FIELDS) == pages.first_column(LEDGER, "## Fields of an entry")


def test_the_page_of_the_ledger_has_every_outcome_of_an_incident() -> None:
    """An incident ends in one of these ways."""
    assert sorted(incidents.OutcomeCode) == sorted(pages.first_column(LEDGER, "## How an incident ends"))


def test_the_page_of_diagnose_has_every_signal() -> None:
    """Each with its unit."""
    assert sorted(vocabulary.SignalName) == sorted(pages.first_column(DIAGNOSE, "## Signals"))


def test_the_page_of_diagnose_has_every_code() -> None:
    """Also those that this version cannot find yet."""
    assert sorted(vocabulary.DiagnosisCode) == sorted(pages.first_column(DIAGNOSE, "## Codes"))


def test_the_page_of_diagnose_has_every_field_of_the_document() -> None:
    """The fields of an answer that found nothing are those of every answer."""
    found = set(pages.first_column(DIAGNOSE, "## The document"))
    nothing = diagnosis_documents.Answer(dt.datetime(2026, 11, 22, tzinfo=dt.UTC), dt.timedelta(0), (), ())
    assert {"apiVersion", "kind", *diagnosis_documents.document(nothing)} == found


def test_the_page_of_recordings_has_every_field_of_a_header() -> None:
    """In the order in which they are written."""
    header = recordings.Header(
        build="",
        kernel="",
        started=dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
        planned=dt.timedelta(0),
        every=dt.timedelta(0),
        asked=(),
        ports=frozenset(),
        places=(),
        features={},
        missing=(),
    )
    found = pages.first_column(pages.DOCS / "reference" / "recordings.md", "## The first line")
    assert list(recordings.header_line(header)) == found


def test_the_tests_that_the_page_on_safety_names_are_there() -> None:
    """A claim without a test is not made."""
    said = set(re.findall(r"`(test_\w+)`", pages.text(pages.DOCS / "explanation" / "safety.md")))
    files = (pages.ROOT / "tests").rglob("*.py")
    there = {
        name for file in files for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
    }
    assert set() == said - there
