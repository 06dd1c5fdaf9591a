"""The small supervisor and its adapter, on real processes."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import pathlib
import signal
import socket as sockets
import stat
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from lastack import errors, ports
from lastack.engine import actions, censuses
from lastack.hosts.supervised import host, launches, messages, specs
from lastack.policy import valid
from tests import waiting
from tests.contracts import service_host_contract

WITHIN = dt.timedelta(seconds=20)
TARGET = valid.SupervisedTarget("demo")
STEP = actions.StepId("step-1")
QUICK, SLOWLY = actions.MemberName("a"), actions.MemberName("slow")

WAIT = "import time\nwhile True: time.sleep(60)"
DEAF = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n" + WAIT
)
SLOW = (
    "import signal, sys, time\n"
    "def end(*_): time.sleep(0.8); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\nprint('slow', flush=True)\n" + WAIT
)
FAMILY = (  # a prefork server in small: a child in the same group that ignores SIGTERM
    "import os, signal, time\n"
    "if os.fork() == 0: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('family', flush=True)\n" + WAIT
)


def python(name: str, code: str, **more: object) -> specs.MemberSpec:
    """A member that runs `code`."""
    spec = specs.MemberSpec(name=name, argv=(sys.executable, "-c", code))
    return dataclasses.replace(spec, **more)  # type: ignore[arg-type] # fields of the spec, by name


def logged(folder: pathlib.Path, name: str, word: str) -> None:
    """Wait until the member has said `word`: its signal handlers are in place."""
    log = folder / f"{name}.log"
    waiting.wait_until(
        lambda: log.exists() and word in log.read_text(), within=WITHIN, what=f"{name} in its log"
    )


def member_of(socket: pathlib.Path, name: str) -> censuses.Member:
    """One member as the adapter sees it now."""
    found = host.SupervisedHost("demo", socket).members(TARGET).member(actions.MemberName(name))
    assert found is not None
    return found


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def replaced(socket: pathlib.Path, name: str) -> ports.Replaced | ports.ReplacementFailed:
    """Replace a member and wait for the end of it."""
    supervised = host.SupervisedHost("demo", socket)
    expected = member_of(socket, name).incarnation
    assert expected is not None
    assert ports.Begun() == supervised.begin_replacement(actions.MemberName(name), expected, STEP)

    def look() -> list[ports.Replaced | ports.ReplacementFailed]:
        found = supervised.progress(actions.MemberName(name), expected, STEP)
        return [] if isinstance(found, ports.Waiting) else [found]

    (ended,) = waiting.wait_until(look, within=WITHIN, what="the replacement")
    return ended


@dataclasses.dataclass
class SupervisedBed:
    """Two quick members and a slow one under a real supervisor."""

    socket: pathlib.Path
    target: valid.Target = TARGET
    member: actions.MemberName = QUICK
    slow_member: actions.MemberName = SLOWLY

    def host(self) -> ports.ServiceHost:
        """A new adapter."""
        return host.SupervisedHost("demo", self.socket)

    def end_by_itself(self, member: actions.MemberName) -> None:
        """Kill its main process."""
        pid = member_of(self.socket, member).main_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)


class TestSupervisedKeepsTheContract(service_host_contract.ServiceHostContract):
    """The claims of every ServiceHost, on the supervisor."""

    @pytest.fixture
    def bed(self, tmp_path: pathlib.Path) -> Iterator[service_host_contract.Bed]:
        """A fresh supervisor."""
        with launches.launched(
            tmp_path, (python("slow", SLOW), python("b", WAIT), python("a", WAIT))
        ) as socket:
            logged(tmp_path, "slow", "slow")
            yield SupervisedBed(socket)


def test_a_member_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: pathlib.Path) -> None:
    """Grace is bounded; a stuck member does not stop its own replacement."""
    with launches.launched(tmp_path, (python("deaf", DEAF, grace_ms=300),)) as socket:
        logged(tmp_path, "deaf", "deaf")
        before = member_of(socket, "deaf").main_pid
        assert before is not None
        assert isinstance(replaced(socket, "deaf"), ports.Replaced)
        assert not alive(before)


def test_children_of_a_member_are_gone_before_its_next_life(tmp_path: pathlib.Path) -> None:
    """A worker left over would hold the port: the whole group is killed and reaped first."""
    with launches.launched(tmp_path, (python("family", FAMILY, grace_ms=300),)) as socket:
        logged(tmp_path, "family", "family\nfamily\n")
        before = member_of(socket, "family").pids
        assert len(before) == 2
        assert isinstance(replaced(socket, "family"), ports.Replaced)
        assert [] == [pid for pid in before if alive(pid)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_orphan_is_left(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    """However the supervisor ends, also by SIGKILL, its members and their children end with it."""
    with launches.launched(tmp_path, (python("family", FAMILY, grace_ms=200), python("a", WAIT))) as socket:
        logged(tmp_path, "family", "family\nfamily\n")
        pids = [*member_of(socket, "family").pids, *member_of(socket, "a").pids]
        assert len(pids) == 3
        os.kill(messages.ask(socket, "members")["pid"], number)
        waiting.wait_until(
            lambda: not [pid for pid in pids if alive(pid)], within=WITHIN, what="the end of all members"
        )


def test_it_ends_with_the_process_that_started_it(tmp_path: pathlib.Path) -> None:
    """A demo that is killed leaves nothing behind."""
    code = (
        "import pathlib, sys, time\n"
        "from lastack.hosts.supervised import launches, specs\n"
        "spec = specs.MemberSpec('a', (sys.executable, '-c', 'import time; time.sleep(600)'))\n"
        f"with launches.launched(pathlib.Path({str(tmp_path)!r}), (spec,)) as socket: time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        socket = tmp_path / "supervisor.sock"

        def answers() -> list[int] | None:
            with contextlib.suppress(errors.NotReachable):
                found = messages.ask(socket, "members")
                return [found["pid"], found["members"][0]["pid"]]
            return None

        pids = waiting.wait_until(answers, within=WITHIN, what="the supervisor")
        parent.kill()
    waiting.wait_until(lambda: not [pid for pid in pids if alive(pid)], within=WITHIN, what="the end of all")


def test_a_member_that_fails_is_started_again_up_to_its_limit(tmp_path: pathlib.Path) -> None:
    """restart: on-failure, with backoff and a count; after that it stays down and says why."""
    crash = python("crash", "raise SystemExit(7)", restart="on-failure", backoff_ms=10, restart_limit=2)
    with launches.launched(tmp_path, (crash,)) as socket:

        def down() -> str | None:
            entry = messages.ask(socket, "members")["members"][0]
            return entry["text"] if entry["starts"] == 3 and entry["pid"] is None else None

        text = waiting.wait_until(down, within=WITHIN, what="the limit of restarts")
        assert "ended with status 7" in text
        assert "2 restarts did not help" in text


def test_a_member_that_ends_well_stays_down(tmp_path: pathlib.Path) -> None:
    """Status 0 is no failure, and by default nothing is started again."""
    members = (
        python("done", "pass", restart="on-failure", backoff_ms=10),
        python("crash", "raise SystemExit(7)"),
    )
    with launches.launched(tmp_path, members) as socket:
        waiting.wait_until(
            lambda: [entry["pid"] for entry in messages.ask(socket, "members")["members"]] == [None, None],
            within=WITHIN,
            what="both to end",
        )
        found = messages.ask(socket, "members")["members"]
        assert [1, 1] == [entry["starts"] for entry in found]


def test_a_replacement_whose_program_is_gone_fails_with_the_reason(tmp_path: pathlib.Path) -> None:
    """The old life is over and no new one begins: ReplacementFailed, not an endless wait."""
    program = tmp_path / "program"
    program.symlink_to(sys.executable)
    gone = specs.MemberSpec("gone", (str(program), "-c", WAIT))
    with launches.launched(tmp_path, (gone,)) as socket:
        program.unlink()
        ended = replaced(socket, "gone")
        assert isinstance(ended, ports.ReplacementFailed)
        assert "cannot start" in ended.text


def test_output_of_members_is_kept_through_all_lives(tmp_path: pathlib.Path) -> None:
    """stdout and stderr go to one file per member, appended."""
    code = "import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr, flush=True)\n" + WAIT
    with launches.launched(tmp_path, (python("talker", code),)) as socket:
        logged(tmp_path, "talker", "out\nerr\n")
        replaced(socket, "talker")
        logged(tmp_path, "talker", "out\nerr\nout\nerr\n")


def test_members_get_their_environment(tmp_path: pathlib.Path) -> None:
    """`env` is added to the supervisor's own."""
    code = "import os\nprint(os.environ['GREETING'], 'PATH' in os.environ, flush=True)\n" + WAIT
    with launches.launched(tmp_path, (python("a", code, env={"GREETING": "hello"}),)):
        logged(tmp_path, "a", "hello True")


def test_the_socket_is_for_this_user_alone(tmp_path: pathlib.Path) -> None:
    """Whoever can write to it can restart members."""
    with launches.launched(tmp_path, (python("a", WAIT),)) as socket:
        assert 0o600 == stat.S_IMODE(socket.stat().st_mode)
    assert not socket.exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "not a JSON line"),
        (b"[]", "asked for None; expected one of members, progress, replace"),
        (b'{"ask": "stop"}', "asked for 'stop'"),
        (b'{"ask": "replace", "member": "a"}', "replace needs expected, a string"),
        (b"\xff\xfe", "not a JSON line"),
    ],
)
def test_a_request_that_cannot_be_meant_is_answered_and_harms_nothing(
    tmp_path: pathlib.Path, line: bytes, said: str
) -> None:
    """The answer says what was expected, and the supervisor goes on."""
    with launches.launched(tmp_path, (python("a", WAIT),)) as socket:
        with contextlib.closing(sockets.socket(sockets.AF_UNIX)) as connection:
            connection.connect(str(socket))
            connection.sendall(line + b"\n")
            assert said in json.loads(connection.recv(65536))["error"]
        assert member_of(socket, "a").ready


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "is not JSON"),
        ("{}", "at least one member"),
        ('{"members": [{"name": "a/b", "argv": ["x"]}]}', "members[0].name is 'a/b'; expected"),
        ('{"members": [{"name": "a", "argv": []}]}', "members[0].argv is []; expected"),
        ('{"members": [{"name": "a", "argv": ["x"], "arg": 1}]}', "a field 'arg'; expected only"),
        ('{"members": [{"name": "a", "argv": ["x"], "graceMs": true}]}', "graceMs is True; expected"),
        ('{"members": [{"name": "a", "argv": ["x"], "ports": [70000]}]}', "ports is [70000]; expected"),
        ('{"members": [{"name": "a", "argv": ["x"], "env": {"A": 1}}]}', "env is {'A': 1}; expected"),
        ('{"members": [{"name": "a", "argv": ["x"], "cwd": 1}]}', "cwd is 1; expected"),
        ('{"members": [{"name": "a", "argv": ["x"], "restart": "always"}]}', "restart is 'always'; expected"),
        (
            '{"members": [{"name": "a", "argv": ["x"]}, {"name": "a", "argv": ["x"]}]}',
            "two members are called",
        ),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(document: str, said: str) -> None:
    """Nothing is started half-way: the message says where, what was found and what was expected."""
    with pytest.raises(errors.UsageError) as refusal:
        specs.from_json(document)
    assert said in refusal.value.message


def test_a_configuration_survives_the_file(tmp_path: pathlib.Path) -> None:
    """What is written is read back the same."""
    members = (python("a", WAIT, env={"A": "b"}, ports=(8080,), cwd="/", grace_ms=1, restart="on-failure"),)
    assert members == specs.from_json(specs.to_json(members))


def test_nobody_there_is_said_with_the_path(tmp_path: pathlib.Path) -> None:
    """The host cannot be asked at all: a WorldError, not a census without members."""
    with pytest.raises(errors.NotReachable, match=r"no supervisor answers at .*/absent\.sock"):
        host.SupervisedHost("demo", tmp_path / "absent.sock").members(TARGET)
