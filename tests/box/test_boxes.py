"""The box itself: a real systemd, separate from the machine, of which nothing is left behind."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.box import boxes

OWNER = """
import sys, time
from tests.box import boxes
with boxes.Box() as box:
    print(box.name, box.leader_pid, flush=True)
    time.sleep(60)
"""
DEADLINE_SECONDS = 15.0


def wait_until(claim: Callable[[], bool]) -> bool:
    """Whether the claim came true within the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def traces(name: str) -> list[str]:
    """Every process, cgroup and mount of the machine that carries the name of a box."""
    # os.walk passes over what goes while it looks: folders of a box that is being taken away.
    found = [
        f"{folder}/{child}"
        for folder, children, _ in os.walk("/sys/fs/cgroup")
        for child in children
        if child.startswith(name)
    ]
    found += [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                cgroups = (entry / "cgroup").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if name in command or name in cgroups:
                found.append(f"{entry.name}: {command}")
    return found


def box_owner() -> subprocess.Popen[str]:
    """Another Python process that starts a box of its own and prints its name and leader."""
    environment = {**os.environ, "PYTHONPATH": str(boxes.SOURCE_ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_its_pid_1_is_systemd_and_the_machine_s_own_services_do_not_run_in_it(box: boxes.Box) -> None:
    """PID 1 in the box is systemd with a bus; of services only those of the basic system are loaded."""
    running = box.run(
        ["systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend"]
    )
    assert pathlib.Path(f"/proc/{box.leader_pid}/comm").read_text() == "systemd\n"
    assert sorted(line.split()[0] for line in running.stdout.splitlines()) == [
        "dbus.service",
        "systemd-journald.service",
    ]


def test_it_boots_within_two_seconds(box: boxes.Box, record_property: Callable[[str, object], None]) -> None:
    """A box is cheap enough to be used by ordinary tests."""
    record_property("boot_seconds", box.boot_seconds)
    assert box.boot_seconds < 2.0


def test_the_python_and_the_source_of_the_tests_work_inside(box: boxes.Box) -> None:
    """The same interpreter imports the same package inside, so that tests can run the program there."""
    source = boxes.SOURCE_ROOT / "operator"
    seen = box.run(
        [sys.executable, "-c", "import lastack; print(lastack.__file__)"], env={"PYTHONPATH": str(source)}
    )
    assert seen.stdout.strip() == str(source / "lastack" / "__init__.py")


def test_its_network_is_its_own(box: boxes.Box) -> None:
    """The box has a loopback device and nothing else, in a network namespace of its own."""
    table = box.run(["cat", "/proc/net/dev"]).stdout
    devices = [line.partition(":")[0].strip() for line in table.splitlines() if ":" in line]
    assert devices == ["lo"]
    of_the_machine, of_the_box = (
        pathlib.Path(f"/proc/{owner}/ns/net").stat().st_ino for owner in ("self", box.leader_pid)
    )
    assert of_the_machine != of_the_box


def test_a_written_unit_can_be_started(box: boxes.Box) -> None:
    """write_unit places the file and reloads systemd; nothing appears on the machine."""
    inside = box.write_unit("box-hello.service", "[Service]\nExecStart=/bin/sleep 1000\n")
    box.run(["systemctl", "start", "box-hello.service"])
    assert box.run(["systemctl", "is-active", "box-hello.service"]).stdout == "active\n"
    assert not pathlib.Path(inside).exists()
    box.run(["systemctl", "stop", "box-hello.service"])


def test_a_signal_reaches_the_program_and_not_only_nsenter(box: boxes.Box) -> None:
    """kill() of a started program ends that program; its pid is one of the machine."""
    with box.popen(["sleep", "1000"]) as sleeper:
        program = sleeper.program_pid
        # nsenter becomes the program; and whoever adopted it may take a moment to notice its end.
        assert wait_until(lambda: pathlib.Path(f"/proc/{program}/comm").read_text() == "sleep\n")
        sleeper.kill()
        assert sleeper.wait(DEADLINE_SECONDS) != 0
    assert wait_until(lambda: not pathlib.Path(f"/proc/{program}").exists())


def test_a_failing_command_shows_what_it_wrote(box: boxes.Box) -> None:
    """With check (the default) the message holds the command, its status and its outputs."""
    with pytest.raises(boxes.BoxError, match=r"(?s)`ls /nowhere` ended with 2:.*No such file"):
        box.run(["ls", "/nowhere"])


def test_nothing_is_left_after_close() -> None:
    """No process, cgroup or mount carries the name of a closed box, also when a unit ignores SIGTERM."""
    with boxes.Box() as own:
        own.write_unit("deaf.service", "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; sleep 1000'\n")
        own.run(["systemctl", "start", "deaf.service"])
        assert traces(own.name) != []
    assert traces(own.name) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_its_owner_is_ended_by(ending: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and SIGKILL of the process that started the box take the whole box away."""
    with box_owner() as owner:
        assert owner.stdout is not None
        name, leader = owner.stdout.readline().split()
        assert pathlib.Path(f"/proc/{leader}").exists()
        owner.send_signal(ending)
        owner.communicate(timeout=DEADLINE_SECONDS)
    assert wait_until(lambda: traces(name) == []), traces(name)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd-nspawn the failure says which Debian package has it."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(boxes.BoxError, match=r"systemd-nspawn is .*: apt-get install systemd-container"):
        boxes.Box().start()


def test_a_missing_right_is_named() -> None:
    """An ordinary user is told that root is needed, and as whom the tests ran."""
    script = (
        "import os; from tests.box import boxes; os.setresuid(65534, 65534, 65534)\n"
        "try: boxes.check_possible()\n"
        "except boxes.BoxError as error: print(error)"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(boxes.SOURCE_ROOT)},
    )
    assert "needs root with CAP_SYS_ADMIN, this is uid 65534" in asked.stdout
