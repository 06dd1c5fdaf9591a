"""Threads of real JVMs by attach: what stands where, and nothing is harmed that cannot be asked."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import os
import pathlib
import socket
from collections.abc import Iterator

import psutil
import pytest

from lastack import errors
from lastack.executors.thread_dump import groups, stacks, waits
from lastack.executors.thread_dump.hotspot import answers, attach
from tests.executors import jvms, worlds

OLD_ENOUGH = attach.YOUNG
SHORT = dt.timedelta(seconds=2)


def asked(pid: int, *, age: dt.timedelta | None = None, within: dt.timedelta = SHORT) -> stacks.ProcessDump:
    """Its dump; asked as if it were old enough, unless `age` says otherwise."""
    now = worlds.RealClock().now().steady
    asking = attach.Asking(pid, now + OLD_ENOUGH if age is None else now + age, within)
    try:
        raw = asking.wait(within + dt.timedelta(seconds=5))
        while raw is None:
            raw = asking.wait(SHORT)
    finally:
        asking.close()
    return answers.read(raw, pid=pid, parent=1, command="java", at=dt.datetime.now(dt.UTC))


def refused(pid: int, *, age: dt.timedelta | None = None, within: dt.timedelta = SHORT) -> errors.WorldError:
    """Why it gives none."""
    with pytest.raises(errors.WorldError) as problem:
        asked(pid, age=age, within=within)
    return problem.value


def alive(pid: int) -> bool:
    """Whether it runs and has not been stopped."""
    return psutil.Process(pid).status() in {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}


def left_behind(pid: int) -> list[str]:
    """Its trigger file in the JVM's /tmp."""
    inner = pathlib.Path(f"/proc/{pid}/status").read_text().partition("NSpid:")[2].splitlines()[0].split()[-1]
    return [each.name for each in pathlib.Path(f"/proc/{pid}/root/tmp").glob(f".attach_pid{inner}")]


@pytest.fixture(scope="module")
def patient(classes: pathlib.Path) -> Iterator[int]:
    """One JVM for all the tests that do not change it."""
    with jvms.running(classes) as pid:
        yield pid


@pytest.fixture(scope="module")
def dump(patient: int) -> stacks.ProcessDump:
    """Asked for once."""
    return asked(patient)


class TestWhatItSays:
    """Of a JVM with default options."""

    def test_who_stands_where(self, dump: stacks.ProcessDump) -> None:
        """The application's own frame, not the JDK's below it."""
        places = {thread.name: str(thread.place) for thread in dump.threads}
        assert "Patient.waitForMonitor (Patient.java:15)" == places["exec-0"]
        assert "Patient.waitForLock (Patient.java:20)" == places["locker-1"]
        assert "Patient.readFromBackend (Patient.java:25)" == places["caller-1"]

    def test_the_sentence_names_the_largest_group(self, dump: stacks.ProcessDump) -> None:
        """How many of how many that do the same work."""
        found = groups.find([[dump]])
        assert found.text.startswith(
            "3 of 3 worker threads stand in Patient.waitForMonitor (Patient.java:15)"
        )

    def test_an_idle_pool_waits_for_work(self, dump: stacks.ProcessDump) -> None:
        """And the JVM's own threads do."""
        idle = {thread.name for thread in dump.threads if thread.waits_for_work}
        assert {"pool-1-thread-1", "Reference Handler", "Finalizer", "Common-Cleaner"} <= idle

    def test_locks_and_their_owner_are_told(self, dump: stacks.ProcessDump) -> None:
        """Who waits for a lock, and who holds it."""
        threads = {thread.name: thread for thread in dump.threads}
        for name, kind in (("exec-1", "Object"), ("locker-1", "ReentrantLock$NonfairSync")):
            wanted = threads[name].waits_for
            assert wanted is not None
            assert wanted.kind.endswith(kind)
            assert wanted.id in threads["main"].holds

    def test_thread_ids_are_the_kernel_s(self, dump: stacks.ProcessDump, patient: int) -> None:
        """So that a thread can be joined with what it waits for in the kernel."""
        kernel = {each.id for each in psutil.Process(patient).threads()}
        assert {thread.thread for thread in dump.threads} <= kernel

    def test_the_peer_that_a_thread_reads_from_is_told(self, dump: stacks.ProcessDump, patient: int) -> None:
        """As the kernel knows it, joined by thread."""
        (listening,) = [c for c in psutil.Process(patient).net_connections("tcp") if c.status == "LISTEN"]
        waits_of = {thread.name: thread.wait for thread in waits.joined(dump).threads}
        caller = waits_of["caller-1"]
        assert caller is not None
        assert (f"127.0.0.1:{listening.laddr.port}", False) == (caller.peer, caller.running)

    def test_nothing_is_left_in_it(self, dump: stacks.ProcessDump, patient: int) -> None:
        """No trigger file, and it goes on."""
        assert dump.threads
        assert [] == left_behind(patient)
        assert alive(patient)


@pytest.mark.parametrize(
    "around",
    [
        ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
        (
            *("unshare", "--pid", "--fork", "--mount-proc", "--net", "--user", "--map-root-user"),
            *("sh", "-c", 'ip link set lo up && mount -t tmpfs none /tmp && exec "$@"', "sh"),
        ),
    ],
    ids=["as-nobody", "in-namespaces"],
)
def test_other_users_and_namespaces_are_reached(classes: pathlib.Path, around: tuple[str, ...]) -> None:
    """As the user that the JVM runs as, in its own /tmp, by the pid that it has for itself."""
    with jvms.running(classes, around=around) as pid:
        dump = waits.joined(asked(pid))
        assert 3 == sum(thread.role == "exec-#" for thread in dump.threads)
        (caller,) = [thread for thread in dump.threads if thread.name == "caller-1"]
        assert caller.wait is not None
        assert (caller.wait.peer or "").startswith("127.0.0.1:")
        assert [] == left_behind(pid)


class TestDanger:
    """What must not be asked is not asked: nothing is sent, and the reason is said. More of it in tests/dangers."""

    @pytest.mark.parametrize("way", ["option", "variable", "file"])
    def test_a_jvm_that_may_not_be_attached_to(
        self, classes: pathlib.Path, tmp_path: pathlib.Path, way: str
    ) -> None:
        """It would print its threads on its own output."""
        flags = tmp_path / "flags"
        flags.write_text("+DisableAttachMechanism\n")
        switch = "-XX:+DisableAttachMechanism"
        options = {"option": [switch], "variable": [], "file": [f"-XX:Flags={flags}"]}[way]
        with jvms.running(
            classes, *options, env={"JAVA_TOOL_OPTIONS": switch} if way == "variable" else None
        ) as pid:
            assert switch in refused(pid).message
            assert alive(pid)

    def test_a_young_jvm(self, patient: int) -> None:
        """Some ended by the signal when it came 5 ms after exec."""
        began = psutil.Process(patient).create_time() - psutil.boot_time()
        age = dt.timedelta(seconds=began) - worlds.RealClock().now().steady + dt.timedelta(seconds=1)
        assert "younger than 2 s" in refused(patient, age=age).message


def test_a_stranger_at_the_socket_is_not_believed(classes: pathlib.Path) -> None:
    """Anybody may make a socket of that name in /tmp."""
    with jvms.running(classes) as pid, socket.socket(socket.AF_UNIX) as stranger:
        path = pathlib.Path(f"/tmp/.java_pid{pid}")
        stranger.bind(str(path))
        stranger.listen(1)
        try:
            assert f"process {os.getpid()} listens at its attach socket" in refused(pid).message
        finally:
            path.unlink()


def test_a_worker_thread_may_ask_too(patient: int) -> None:
    """Executors run in threads of a pool, of which the child is forked."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(asked, patient).result().threads
