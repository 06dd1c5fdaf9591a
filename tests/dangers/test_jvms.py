"""Java virtual machines that must not be asked, or not in this way: nothing is ended, and nothing stands still."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import pathlib
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from lastack.engine import outcomes
from lastack.executors.thread_dump.hotspot import attach
from tests import targets, waiting
from tests.dangers import asking
from tests.executors import worlds

pytestmark = [pytest.mark.dangers, pytest.mark.timeout(120), pytest.mark.xdist_group("dangers-jvms")]

MANY = 5000
NO_SAFEPOINTS_OF_ITS_OWN = ("-XX:+UnlockDiagnosticVMOptions", "-XX:GuaranteedSafepointInterval=0")
"""Else the JVM stops its threads every second by itself, which would be measured as if it were ours."""
NEW_ROOT = """
set -e
root=$1; shift
mount -t tmpfs none "$root"
for each in usr etc lib lib64 bin proc dev var; do
  if [ -L /$each ]; then cp -P /$each "$root"/; else mkdir "$root"/$each; mount --rbind /$each "$root"/$each; fi
done
exec chroot "$root" "$@"
"""
TMP = {
    "full": 'mount -t tmpfs -o size=4k none /tmp && (head -c 99999 /dev/zero > /tmp/filled || true) && exec "$@"',
    "without-inodes": 'mount -t tmpfs -o nr_inodes=2 none /tmp && touch /tmp/one && exec "$@"',
    "read-only": 'mount -t tmpfs -o ro none /tmp && exec "$@"',
}


@pytest.fixture(scope="module")
def patient(
    request: pytest.FixtureRequest, classes: pathlib.Path, beats: targets.Beats
) -> Iterator[targets.Life]:
    """A JVM with the options that the test names first; the tests of a class share it."""
    options = request.param
    mode = options[-1] if options and not options[-1].startswith("-") else "0"
    given = [each for each in options if each.startswith("-")]
    with targets.running(targets.java(*given, classes=classes, beats=beats, mode=mode)) as life:
        yield life


@pytest.mark.parametrize("patient", [("-Xrs",)], indirect=True, ids=[""])
@asking.each_run
def test_a_jvm_that_does_not_catch_sigquit(
    patient: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """The signal would end it. Where it has opened its socket by itself it is asked there, else the kernel is."""
    own = pathlib.Path(f"/tmp/.java_pid{patient.pid}")
    assert own.is_socket()
    if run % 2:
        own.rename(own.with_suffix(".away"))
    try:
        with asker.unharmed(patient, beats):
            told = asker.ask(patient.pid)
    finally:
        if run % 2:
            own.with_suffix(".away").rename(own)
    assert isinstance(told.outcome, outcomes.Succeeded)
    assert ("does not catch SIGQUIT" in told.summary) is bool(run % 2)
    assert ("Target.beat (Target.java:" in told.summary) is not bool(run % 2)


@pytest.mark.parametrize("patient", [("-XX:+DisableAttachMechanism",)], indirect=True, ids=[""])
@asking.each_run
def test_a_jvm_that_may_not_be_attached_to(
    patient: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """It would print its threads on its own output."""
    with asker.unharmed(patient, beats):
        told = asker.ask(patient.pid)
    assert isinstance(told.outcome, outcomes.Succeeded)
    assert "-XX:+DisableAttachMechanism" in told.summary


@asking.each_run
def test_a_jvm_some_milliseconds_after_exec(
    classes: pathlib.Path, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """Of twenty that got the signal then seven ended: this one comes up, and serves."""
    with targets.started(targets.java(classes=classes, beats=beats)) as process:
        program = pathlib.Path(f"/proc/{process.pid}/exe")
        waiting.wait_until(
            lambda: program.resolve().name == "java", within=worlds.WITHIN, what="the exec of java"
        )
        time.sleep(0.005 + 0.01 * (run % 10))  # this is the claim: so long after exec
        told = asker.ask(process.pid, clock=worlds.RealClock())
        life = targets.up(process)
        assert life.answers()
        assert life.goes_on
    # Before its library is mapped, it is no JVM yet.
    reasons = ("is younger than 2 s", "does not catch SIGQUIT", "is a native program")
    assert any(each in told.summary for each in reasons), told.summary


@pytest.mark.parametrize("patient", [()], indirect=True, ids=[""])
@asking.each_run
def test_a_stopped_jvm(patient: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int) -> None:
    """It stays stopped, nothing is sent that would come due later, and it goes on when it is let go."""
    before = patient.settled_possessions()
    os.kill(patient.pid, signal.SIGSTOP)
    try:
        waiting.wait_until(
            lambda: psutil.Process(patient.pid).status() == psutil.STATUS_STOPPED,
            within=worlds.WITHIN,
            what="the stop",
        )
        told = asker.ask(patient.pid)
        assert psutil.STATUS_STOPPED == psutil.Process(patient.pid).status()
    finally:
        os.kill(patient.pid, signal.SIGCONT)
    assert "is stopped (SIGSTOP)" in told.summary
    beats.await_some()
    waiting.wait_until(lambda: patient.has_what_it_had(before), within=worlds.WITHIN, what=str(before))
    assert patient.answers()


@pytest.mark.parametrize(
    "patient",
    [
        ("-XX:+UseSerialGC", *NO_SAFEPOINTS_OF_ITS_OWN, "spin"),
        ("-XX:+UseG1GC", "-XX:-UseCountedLoopSafepoints", *NO_SAFEPOINTS_OF_ITS_OWN, "spin"),
    ],
    indirect=True,
    ids=["serial", "uncut"],
)
@asking.each_run
def test_an_endless_loop_without_a_safepoint(
    patient: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """Asked, all its threads would stop until the loop ends; so the kernel is, and names who runs."""
    with asker.unharmed(patient, beats):
        told = asker.ask(patient.pid)
    assert isinstance(told.outcome, outcomes.Succeeded)
    assert "spinner (" in told.summary
    assert "runs without a pause, in what may be a loop without a safepoint" in told.summary
    assert "cpu" == told.outcome.facts["cause"]
    assert told.took < dt.timedelta(seconds=5)


@pytest.mark.parametrize("patient", [("-XX:+UseG1GC", "spin")], indirect=True, ids=[""])
@asking.each_run
def test_an_endless_loop_that_is_cut_is_named(
    patient: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """With G1 the same loop has safepoints: the function is told."""
    with asker.unharmed(patient, beats):
        told = asker.ask(patient.pid)
    # In one dump the thread that beats may be met at work as well: then either is named.
    assert told.text.startswith("1 of 1 worker threads stands in Target."), told.text
    assert "Target.spin (Target.java:" in told.summary
    assert isinstance(told.outcome, outcomes.Succeeded)
    assert "cpu" == told.outcome.facts["cause"]


@asking.each_run
def test_a_pipe_that_nobody_reads(
    classes: pathlib.Path, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """A thread of the JVM is stuck writing into it; the dump does not go that way."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    command = targets.java(classes=classes, beats=beats, mode="talk")
    try:
        with targets.running(command, stderr=writing) as life:
            waiting.wait_until(lambda: _filled(reading) >= 4000, within=worlds.WITHIN, what="a full pipe")
            with asker.unharmed(life, beats):
                told = asker.ask(life.pid)
            assert isinstance(told.outcome, outcomes.Succeeded)
            assert "Missing" not in told.summary
            assert "java.io.FileOutputStream.writeBytes" in told.summary
    finally:
        os.close(reading)
        os.close(writing)


def _filled(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, 0x541B, bytes(4)), "little")  # FIONREAD


@pytest.mark.parametrize("tmp", sorted(TMP))
@asking.each_run
def test_a_tmp_without_room(
    classes: pathlib.Path, beats: targets.Beats, asker: asking.Asker, tmp: str, run: int
) -> None:
    """Full of data there is still room for two names; without that, the reason is said and nothing was sent."""
    around = ("unshare", "--mount", "sh", "-c", TMP[tmp], "sh")
    with targets.running(targets.java(classes=classes, beats=beats), around=around) as life:
        with asker.unharmed(life, beats):
            told = asker.ask(life.pid)
        assert isinstance(told.outcome, outcomes.Succeeded)
        asked = "Missing" not in told.summary
        assert asked or f"cannot make .attach_pid{life.pid} in its /tmp" in told.summary
        assert asked is (tmp == "full")


@asking.each_run
def test_no_tmp_at_all(
    place: pathlib.Path, classes: pathlib.Path, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """A root of its own without one: said with what would help, and the kernel is asked."""
    (root := place / f"root-{run}").mkdir()
    around = ("unshare", "--mount", "sh", "-c", NEW_ROOT, "sh", str(root))
    with targets.running(targets.java(classes=classes, beats=beats), around=around) as life:
        with asker.unharmed(life, beats):
            told = asker.ask(life.pid)
        assert isinstance(told.outcome, outcomes.Succeeded)
        assert "its /tmp cannot be entered: No such file or directory" in told.summary


@asking.each_run
def test_a_jvm_that_dies_in_the_middle(
    classes: pathlib.Path, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """Killed at some instant of the dump: it ends in time, with the reason or with what was there in time."""
    with targets.running(targets.java(classes=classes, beats=beats)) as life:

        def kill() -> None:
            time.sleep(0.002 * (run % 10))  # this is the claim: at one instant or another
            os.kill(life.pid, signal.SIGKILL)

        told = asker.ask(life.pid, meanwhile=kill)
    assert told.took < dt.timedelta(seconds=5)
    assert isinstance(told.outcome, outcomes.Succeeded) or "has ended" in told.text


@pytest.mark.parametrize("patient", [("-Xss256k", str(MANY))], indirect=True, ids=[""])
@asking.each_run
def test_five_thousand_threads(
    patient: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """All of them, within the time, and none of them stands still for longer than allowed."""
    with asker.unharmed(patient, beats):
        told = asker.ask(patient.pid)
    assert told.took < attach.WITHIN
    assert told.text.startswith(f"{MANY} of {MANY} worker threads stand in Target.stall"), told.text
