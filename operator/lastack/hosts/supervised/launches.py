"""Start a supervisor as a child that ends with this process. Called by bootstrap (the demo) and tests."""

import contextlib
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

from lastack import errors, interruptions
from lastack.hosts.supervised import messages, specs

_READY_SECONDS = 10.0
_LOOK_EVERY_SECONDS = 0.02
_END_SECONDS = 30.0


@contextlib.contextmanager
def launched(
    folder: pathlib.Path, members: tuple[specs.MemberSpec, ...], *, name: str = "supervisor"
) -> Iterator[pathlib.Path]:
    """A running supervisor whose members have been started; gives its socket, `folder`/NAME.sock.

    `folder` also gets NAME.json (the configuration), NAME.err and a MEMBER.log each. At the end of the block
    everything is stopped. Raises NotReachable with what it said when it does not come up.
    """
    socket, config = folder / f"{name}.sock", folder / f"{name}.json"
    config.write_text(specs.to_json(members), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        with (folder / f"{name}.err").open("wb") as said, interruptions.held_back():
            process = subprocess.Popen(
                [sys.executable, "-m", "lastack.hosts.supervised.supervisor", *_options(socket, config)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for this process, which ends the supervisor in order
            )
            stack.callback(end, process)
        _wait_until_it_answers(socket, process, folder / f"{name}.err")
        yield socket


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a supervisor and its members, and wait for it."""
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _options(socket: pathlib.Path, config: pathlib.Path) -> list[str]:
    return ["--socket", str(socket), "--config", str(config), "--parent", str(os.getpid())]


def _wait_until_it_answers(
    socket: pathlib.Path, process: "subprocess.Popen[bytes]", said: pathlib.Path
) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        if process.poll() is not None:
            words = said.read_text(encoding="utf-8", errors="replace").strip()
            raise errors.NotReachable(f"the supervisor ended with status {process.returncode}: {words}")
        with contextlib.suppress(errors.NotReachable):
            messages.ask(socket, "members")
            return
        if time.monotonic() > deadline:
            raise errors.NotReachable(
                f"the supervisor did not answer at {socket} within {_READY_SECONDS:g} s"
            )
        time.sleep(_LOOK_EVERY_SECONDS)
