"""The composition root: the only file that names every adapter. Called by cli; nothing is wired anywhere else."""

import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
import platform
import pwd
import threading
from collections.abc import Callable, Mapping, Sequence

from lastack import __version__, errors, loop, ports, settings, ticking
from lastack.engine import actions, facts, judgements, outcomes
from lastack.executors import rolling_restarts, socket_destroys, sysctl_leases, thread_dumps, works
from lastack.executors.thread_dump import readers
from lastack.hosts.supervised import host as supervised
from lastack.kernel import clocks, features
from lastack.observability import logs
from lastack.policy import sysctls, valid, vocabulary
from lastack.runbook import folds, render, status
from lastack.sensors import probes, sampler
from lastack.stores import control, evidence, ledger, policy_source, readings, records, state_dir

OnFacts = Callable[[Sequence[facts.Fact]], None]


def clock() -> ports.Clock:
    """The clocks of this host."""
    return clocks.SystemClock()


def socket_sampler() -> sampler.SocketSampler:
    """A sampler for one thread, with every sysctl that the catalogue can judge."""
    return sampler.SocketSampler(clocks.SystemClock(), features.probe(), tuple(sysctls.CATALOGUE))


def lease_keeper() -> ports.LeaseKeeper:
    """What gives sysctls back; also used by commands while nothing runs."""
    return sysctl_leases.SysctlLeaser(service_hosts({}))


def service_hosts(
    supervised_sockets: Mapping[str, pathlib.Path],
) -> Callable[[valid.Target], ports.ServiceHost]:
    """The table from a target to where its members live; each host is made once, when it is first needed."""
    made: dict[str, ports.ServiceHost] = {}

    def host_of(target: valid.Target) -> ports.ServiceHost:
        match target:
            case valid.SystemdTarget():
                if "systemd" not in made:
                    from lastack.hosts.systemd import host as systemd

                    made["systemd"] = systemd.SystemdHost()
                return made["systemd"]
            case valid.SupervisedTarget(name):
                if name not in supervised_sockets:
                    raise errors.NotReachable(f"no supervisor is known by the name {name!r}")
                return made.setdefault(name, supervised.SupervisedHost(name, supervised_sockets[name]))

    return host_of


@dataclasses.dataclass(frozen=True, slots=True)
class Sources:
    """Where a host process gets its policies and members from, and how policies are read again."""

    policies: ports.PolicySource
    reload: Callable[[], None]
    supervised_sockets: Mapping[str, pathlib.Path]


class HostProcess:
    """One lastack on a host: opens the state directory, ticks until told to stop, closes. Made by `host_process`."""

    def __init__(self, configured: settings.Settings, sources: Sources, on_facts: OnFacts | None) -> None:
        """Nothing is opened before `run`."""
        self._settings = configured
        self._sources = sources
        self._on_facts = on_facts
        self._log = logs.Log()
        self._loop: loop.Loop | None = None

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set. Raises StateHeld when another lastack holds the state directory."""
        here = clocks.SystemClock()
        where = state_dir.prepare(self._settings.state_dir)
        with state_dir.locked(where), contextlib.ExitStack() as closing:
            book = ledger.open_ledger(where, here.now(), keep_free_bytes=self._settings.keep_free_bytes)
            closing.callback(book.close)
            for notice in book.notices:
                self._log.notice(notice)
            server = control.ControlServer(where)
            closing.callback(server.close)
            self._loop = self._wired(where, book, server)
            ticking.run(
                self._loop,
                book,
                here,
                stop,
                actor=_actor(),
                checkpoint_every=dt.timedelta(seconds=self._settings.checkpoint_every_seconds),
                notice=self._log.notice,
            )

    def reload_policies(self) -> None:
        """Read the policy directory again; a set with an error is refused whole, and that is on record."""
        self._sources.reload()

    def judgements(self) -> Mapping[actions.MemberName, judgements.Judgement]:
        """What was seen of each member at the last look, for whoever draws it; empty before the first."""
        if self._loop is None:
            return {}
        watched = self._loop.view(clocks.SystemClock().now()).watches
        return {name: judged for watch in watched for name, judged in dict(watch.judged).items()}

    def _wired(
        self, where: state_dir.StateDir, book: ledger.SqliteLedger, server: ports.Controls
    ) -> loop.Loop:
        here, prober = clocks.SystemClock(), probes.HttpProber()
        hosts = service_hosts(self._sources.supervised_sockets)
        leases = sysctl_leases.SysctlLeaser(hosts)
        files = evidence.EvidenceFiles(
            where,
            max_bytes=self._settings.evidence_max_bytes,
            keep_free_bytes=self._settings.keep_free_bytes,
        )
        executors: Mapping[vocabulary.ActionKind, ports.Executor] = {
            vocabulary.ActionKind.THREAD_DUMP: thread_dumps.ThreadDumper(
                hosts, files, here, readers.all_readers()
            ),
            vocabulary.ActionKind.SYSCTL: leases,
            vocabulary.ActionKind.SOCKET_DESTROY: socket_destroys.SocketDestroyer(hosts, here),
            # A sampler belongs to one thread: the workers have another than the tick.
            vocabulary.ActionKind.ROLLING_RESTART: rolling_restarts.RollingRestarter(
                hosts, prober, socket_sampler(), here
            ),
        }

        def executor_of(step: actions.Step) -> ports.Executor:
            return executors[step.kind]

        return loop.Loop(
            loop.World(
                clock=here,
                sampler=socket_sampler(),
                hosts=hosts,
                works=works.Works(executor_of, prober, leases, here, self._log.defect),
                ledger=book,
                controls=server,
                policies=self._sources.policies,
                told=lambda news: self._told(where, news),
                about=_about(here),
            )
        )

    def _told(self, where: state_dir.StateDir, news: Sequence[facts.Fact]) -> None:
        """Everybody who follows the ledger: the log, the records, whoever looks on."""
        self._log.facts(news)
        touched = dict.fromkeys(fact.incident for fact in news if fact.incident is not None)
        try:
            with contextlib.suppress(errors.StateUnusable), readings.reading(where) as reading:
                for incident in touched:
                    records.write(where, incident, render.record(reading.incident(incident)[1]))
        except Exception as defect:  # noqa: BLE001 - a record is derived from the ledger: it must not stop a healing
            self._log.defect("the rendering of a record", defect)
        if self._on_facts is not None and news:
            self._on_facts(news)


def host_process(
    configured: settings.Settings,
    *,
    policies: Sequence[valid.Policy] | None = None,
    supervised_sockets: Mapping[str, pathlib.Path] | None = None,
    on_facts: OnFacts | None = None,
) -> HostProcess:
    """A host process, not yet running. Raises PolicyError when the policy directory cannot be used.

    `policies` given: that set and no directory. `on_facts` hears what was written, after each tick.
    """
    sockets = supervised_sockets or {}
    if policies is not None:
        fixed = policy_source.FixedPolicies(policies)
        return HostProcess(configured, Sources(fixed, lambda: None, sockets), on_facts)
    directory = policy_source.PolicyDirectory(configured.policy_dir)
    return HostProcess(configured, Sources(directory, directory.reload, sockets), on_facts)


def standing_document(folded: folds.Folded) -> Mapping[str, outcomes.Json]:
    """The status of a state directory on which nothing runs: what holds all the same."""
    return status.document(clocks.SystemClock().now(), folded, (), {})


def _about(here: ports.Clock) -> Mapping[str, outcomes.Json]:
    return {
        "build": __version__,
        "kernel": platform.release(),
        "bootId": here.now().boot_id,
        "pid": os.getpid(),
    }


def _actor() -> str:
    """Who started this process, as entries name people."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return f"uid {os.getuid()}"
