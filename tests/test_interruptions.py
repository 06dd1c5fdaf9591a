"""What Ctrl-C may cut in two, and what it may not."""

import contextlib
import signal
import subprocess
import sys
import threading

import pytest

from lastack import interruptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_waits_until_what_was_started_can_be_stopped(number: signal.Signals) -> None:
    """It is raised after the block, where the context manager knows the child."""
    reached: list[str] = []

    def start_and_go_on() -> None:
        with contextlib.ExitStack() as stack:
            with interruptions.held_back():
                signal.raise_signal(number)
                signal.raise_signal(number)
                stack.callback(reached.append, "stopped")
                reached.append("started")
            reached.append("went on")

    with interruptions.raised(), pytest.raises(KeyboardInterrupt):
        start_and_go_on()
    assert ["started", "stopped"] == reached


def test_an_interrupted_block_that_fails_says_why_it_failed() -> None:
    """The failure is the news; the caller ends anyway."""

    def fail() -> None:
        with interruptions.held_back():
            signal.raise_signal(signal.SIGINT)
            raise FileNotFoundError

    with interruptions.raised(), pytest.raises(FileNotFoundError):
        fail()


def test_handlers_are_what_they_were() -> None:
    """Also the default ones, which are not touched inside the block: a child that is started inherits them."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with interruptions.held_back():
        assert signal.getsignal(signal.SIGTERM) is before[1]
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def test_in_a_thread_nothing_is_held() -> None:
    """Python raises there nothing; and only the main thread may set handlers."""
    done: list[int] = []

    def work() -> None:
        with interruptions.held_back():
            done.append(subprocess.run([sys.executable, "-c", ""], check=True).returncode)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [0] == done
