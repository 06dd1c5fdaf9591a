"""How the demo is printed: a timeline for people, or JSON lines. Called by cli.demo and cli.demo_stories."""

from __future__ import annotations

import datetime as dt
import pathlib
import textwrap
import time

from lastack.cli import demo_verdicts, printing, progress, timeline
from lastack.engine import facts
from lastack.lab import pairs
from lastack.policy import valid

_LABEL_WIDTH = 8
_GAP = "  "


class Screen:
    """Where the demo goes; counts its seconds from its own beginning."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._progress = progress.Progress()
        self._began = _steady()

    @property
    def elapsed(self) -> dt.timedelta:
        """Time since the beginning."""
        return _steady() - self._began

    def introduce(self, pair: pairs.Pair, policy: valid.Policy, state_dir: pathlib.Path) -> None:
        """Say what is real, what is not, and where things lie."""
        if self._json:
            return
        well, sick = pair.well, pair.sick
        printing.text(printing.tinted("lastack demo", printing.Tone.STRONG))
        printing.text()
        _paragraph(
            f"Two members of a small HTTP service, {well.name} on port {well.port} and {sick.name} on port "
            f"{sick.port}, and {well.load.clients} clients of each, in a network namespace of their own. After a "
            f"healthy look {sick.name} falls sick. Only the disease and the clients are staged: the rest is the "
            f"engine of `lastack run` under policies/{policy.name}.yaml, which differs from a policy for production "
            "in its times alone (they are shorter)."
        )
        printing.text()
        _paragraph(f"State: {state_dir}")
        printing.text()

    def fact(self, fact: facts.Fact) -> None:
        """A new entry of the ledger."""
        at = max(fact.at.steady - self._began, dt.timedelta(0))
        if self._json:
            printing.json_line(timeline.json_row(fact, at))
        else:
            self._progress.clear()
            timeline.show(timeline.row_of(fact, at))

    def staged(self, text: str) -> None:
        """Something that the demo did itself."""
        if self._json:
            seconds = f"{self.elapsed.total_seconds():.3f}"
            printing.json_line({"seconds": seconds, "kind": "demo.staged", "text": text})
        else:
            self._progress.clear()
            timeline.show(timeline.Row(self.elapsed, "staged", printing.Tone.STRONG, text))

    def waiting(self, words: str) -> None:
        """What is waited for; only on a terminal."""
        self._progress.show(f"{self.elapsed.total_seconds():.0f} s  {words}")

    def clear(self) -> None:
        """Take away what was being waited for."""
        self._progress.clear()

    def conclude(
        self,
        verdict: demo_verdicts.Verdict,
        seen: demo_verdicts.Seen,
        state_dir: pathlib.Path,
        program: str,
    ) -> None:
        """Say how it ended; the last line on stdout is the path of the record, if there is one."""
        self._progress.clear()
        if self._json:
            document = demo_verdicts.fields(verdict, seen, state_dir)
            printing.json_line({"apiVersion": printing.API_VERSION, "kind": "DemoVerdict", **document})
            return
        printing.text()
        healed = not verdict.problems
        tone = printing.Tone.GOOD if healed else printing.Tone.BAD
        head = "healed and verified" if healed else "not shown as promised"
        printing.text(printing.tinted(f"{head}, after {self.elapsed.total_seconds():.0f} s", tone))
        printing.text()
        for label, words in verdict.rows:
            _labelled(label, words)
        for problem in verdict.problems:
            _labelled("problem", problem, printing.Tone.BAD)
        printing.text()
        for command in _commands(verdict, state_dir, program):
            printing.text("  " + printing.tinted(command, printing.Tone.QUIET))
        if verdict.record is not None:
            printing.text()
            printing.text("The record of the incident:")
            printing.text(str(verdict.record))


def _commands(verdict: demo_verdicts.Verdict, state_dir: pathlib.Path, program: str) -> list[str]:
    found = [f"{program} ledger verify --state-dir {state_dir}"]
    if verdict.incident is not None:
        found.append(f"{program} incidents show {verdict.incident} --state-dir {state_dir}")
    return found


def _paragraph(words: str) -> None:
    for line in textwrap.wrap(words, printing.width(), break_on_hyphens=False, break_long_words=False):
        printing.text(line)


def _labelled(label: str, words: str, tone: printing.Tone = printing.Tone.QUIET) -> None:
    indent = 2 + _LABEL_WIDTH + len(_GAP)
    lines = textwrap.wrap(printing.plain(words), printing.width() - indent, break_on_hyphens=False) or [""]
    printing.text("  " + printing.tinted(label.ljust(_LABEL_WIDTH), tone) + _GAP + lines[0])
    for line in lines[1:]:
        printing.text(" " * indent + line)


def _steady() -> dt.timedelta:
    return dt.timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))
