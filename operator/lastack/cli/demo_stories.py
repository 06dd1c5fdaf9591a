"""The demo's one act: both members well, one falls sick, and then the engine does what it does. Called by cli.demo.

The engine runs in a thread of its own and is told nothing but its policy; this file only watches its facts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from lastack import bootstrap, errors, settings
from lastack.cli import demo_screens, demo_verdicts, demo_waits
from lastack.engine import facts
from lastack.hosts.supervised import census, launches, specs
from lastack.lab import lifelines, loads, pairs, running, services
from lastack.policy import valid

HEALTHY_LOOK = dt.timedelta(seconds=5)
"""Both members are seen well for so long before one falls sick: longer than limits.warmUp of the policy."""

LONGEST = dt.timedelta(seconds=80)
"""When the incident has not ended by then, the demo ends without it."""

_ANSWERS_AGAIN = dt.timedelta(seconds=5)
_LOOK_EVERY_SECONDS = 0.1
_ENGINE_ENDS_SECONDS = 10.0
_ENDS = (
    facts.FactKind.INCIDENT_RESOLVED,
    facts.FactKind.INCIDENT_EXHAUSTED,
    facts.FactKind.INCIDENT_ABANDONED,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """What stands there: the members, their policy, their supervisor's socket, their clients' counters."""

    pair: pairs.Pair
    policy: valid.Policy
    socket: pathlib.Path
    counts: pathlib.Path


class Engine:
    """The host process in a thread, and the facts that it has told."""

    def __init__(
        self,
        at: settings.Settings,
        policy: valid.Policy,
        target: valid.SupervisedTarget,
        socket: pathlib.Path,
    ) -> None:
        self._news: queue.SimpleQueue[facts.Fact] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._problem: errors.LastackError | None = None
        self.host = bootstrap.host_process(
            at,
            policies=[policy],
            supervised_sockets={target.name: socket},
            on_facts=self._hear,
        )
        self._thread = threading.Thread(target=self._run, name="lastack-engine", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def end(self) -> None:
        """Stop between steps, and wait for it."""
        self._stop.set()
        self._thread.join(_ENGINE_ENDS_SECONDS)

    def news(self) -> list[facts.Fact]:
        """What was written since the last call. Raises the LastackError that ended the engine, if one did."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._news.get_nowait())
        if not found and self._problem is not None:
            raise self._problem
        return found

    @property
    def alive(self) -> bool:
        """Whether it still looks."""
        return self._thread.is_alive()

    def _hear(self, news: Sequence[facts.Fact]) -> None:
        for fact in news:
            self._news.put(fact)

    def _run(self) -> None:
        try:
            self.host.run(self._stop)
        except errors.LastackError as problem:
            self._problem = problem


def play(
    screen: demo_screens.Screen,
    pair: pairs.Pair,
    policy: valid.Policy,
    *,
    state_dir: pathlib.Path,
    folder: pathlib.Path,
) -> demo_verdicts.Seen:
    """Start everything, watch, stop everything; `folder` is for what need not be kept. Raises WorldError."""
    target = policy.target
    if not isinstance(target, valid.SupervisedTarget):
        raise errors.InvariantBroken(f"the demo's policy is for {target}, not for supervised members")
    members = tuple(specs.MemberSpec(m.name, m.argv, ports=(m.port,)) for m in pair.members)
    counts = folder / "counts.json"
    plan = loads.to_argument(tuple(member.load for member in pair.members))
    arguments = ("--loads", plan, "--counts", str(counts))
    with launches.launched(folder, members) as socket:
        engine = Engine(settings.Settings(state_dir=state_dir), policy, target, socket)
        with _looking(engine):
            with lifelines.child("lastack.lab.clients", arguments, said=folder / "clients.log"):
                story = Story(screen, engine, Stage(pair, policy, socket, counts))
                story.watch()
            after = running.read_counts(counts)
    story.listen()
    return demo_verdicts.Seen(tuple(story.told), story.before, after)


@contextlib.contextmanager
def _looking(engine: Engine) -> Iterator[None]:
    engine.start()
    try:
        yield
    finally:
        engine.end()


class Story:
    """Watches the facts come in, brings the disease when both members were well for a while."""

    def __init__(self, screen: demo_screens.Screen, engine: Engine, stage: Stage) -> None:
        self.told: list[facts.Fact] = []
        self.before: Mapping[str, loads.Count] = {}
        self._screen = screen
        self._engine = engine
        self._stage = stage
        self._reached = demo_waits.Reached()
        self._well_since: dt.timedelta | None = None

    def watch(self) -> None:
        """Until the incident has ended and the member that was sick answers its clients again, or time is up."""
        while not self._ended() and self._screen.elapsed < LONGEST:
            if not self._engine.alive:
                self.listen()
                raise errors.InvariantBroken("the engine ended in the middle of the demo")
            self.listen()
            judged = self._engine.host.judgements()
            if not self._reached.fallen_sick:
                self._perhaps_fall_sick(judged)
            self._screen.waiting(
                demo_waits.words(self._reached, judged, self._stage.pair, self._stage.policy)
            )
            time.sleep(_LOOK_EVERY_SECONDS)
        self.before = self._counted()
        if self._reached.has(facts.FactKind.INCIDENT_RESOLVED):
            self._wait_for_an_answer()

    def listen(self) -> None:
        """Take in what the engine has said."""
        news = self._engine.news()
        for fact in news:
            self._screen.fact(fact)
        self.told += news
        self._reached = self._reached.after(news)

    def _ended(self) -> bool:
        return any(self._reached.has(kind) for kind in _ENDS)

    def _perhaps_fall_sick(self, judged: demo_waits.Judged) -> None:
        now = self._screen.elapsed
        if not demo_waits.healthy(judged, self._stage.pair):
            self._well_since = None
        elif self._well_since is None:
            self._well_since = now
        elif now - self._well_since >= HEALTHY_LOOK:
            self._fall_sick()

    def _fall_sick(self) -> None:
        sick = next(
            m for m in census.take(self._stage.socket).members if m.name == self._stage.pair.sick.name
        )
        if sick.main_pid is None:
            raise errors.NotReachable(f"{sick.name} does not run: {sick.state}")
        os.kill(sick.main_pid, services.FALL_SICK)
        self._reached = dataclasses.replace(self._reached, fallen_sick=True)
        self._screen.staged(
            f"both members have been well for {HEALTHY_LOOK.total_seconds():.0f} s; now something in "
            f"{sick.name} takes a lock that its handlers need, and never gives it back"
        )

    def _wait_for_an_answer(self) -> None:
        until = self._screen.elapsed + _ANSWERS_AGAIN
        name = self._stage.pair.sick.name
        while self._screen.elapsed < until:
            if self._counted()[name].answered > self.before[name].answered:
                return
            self._screen.waiting(f"a client of {name} is about to be answered")
            time.sleep(_LOOK_EVERY_SECONDS)

    def _counted(self) -> Mapping[str, loads.Count]:
        try:
            return running.read_counts(self._stage.counts)
        except FileNotFoundError:
            return {member.name: loads.Count() for member in self._stage.pair.members}
