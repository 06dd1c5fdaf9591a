"""`Box`: a real systemd for tests, booted in systemd-nspawn; used through tests.box.fixtures.

Its root is an overlay over the machine's own root, its network is private, its PID 1 is systemd. The source
tree and the Python of the tests are seen in it read-only at the same paths, so a test can run the program
itself inside. Nothing of it outlives `close()`: launch.py holds every mount, cgroup and process.
"""

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, Self

LAUNCHER = pathlib.Path(__file__).with_name("launch.py")
SOURCE_ROOT = pathlib.Path(__file__).parents[2]
BOOT_SECONDS = 30.0
CLOSE_SECONDS = 15.0
COMMAND_SECONDS = 30.0

NEEDED_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "dbus-daemon": "dbus",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}
OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private")
CAP_SYS_ADMIN = 21
INSIDE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BoxError(Exception):
    """The box cannot be had here, or did not boot; names the package, the right or the console's words."""


class InsideProcess(subprocess.Popen[str]):
    """A program in the box. `pid` is nsenter's; signals go to the program itself."""

    @property
    def program_pid(self) -> int:
        """The program's pid as the machine sees it; waits for nsenter to have started it.

        Raises ProcessLookupError when it is over already.
        """
        deadline = time.monotonic() + COMMAND_SECONDS
        while time.monotonic() < deadline and self.poll() is None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
                if children:
                    return int(children[0])
            time.sleep(0.005)
        raise ProcessLookupError(f"{self.args!r} is over, or nsenter never started it")

    def send_signal(self, sig: int) -> None:
        """Send `sig` to the program in the box; nsenter ends by itself when the program does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.program_pid, sig)


class Box:
    """One booted systemd; a context manager. `start` and `close` must be called by the same thread.

    The box ends with the thread that started it, also by SIGKILL: the kernel tells launch.py.
    """

    def __init__(self) -> None:
        self.name = f"lastack-box-{os.getpid()}-{secrets.token_hex(3)}"
        self.boot_seconds = 0.0
        self._leader_pid = 0
        self._console: IO[bytes] | None = None
        self._launcher: subprocess.Popen[bytes] | None = None

    @property
    def leader_pid(self) -> int:
        """The pid of the box's PID 1 as the machine sees it."""
        if self._leader_pid == 0:
            raise BoxError("the box is not running: call start() first")
        return self._leader_pid

    def __enter__(self) -> Self:
        """Boot it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it away, whatever happened."""
        self.close()

    def start(self) -> None:
        """Boot and return when systemd says that it is up; raises BoxError with the console's last lines."""
        check_possible()
        began = time.monotonic()
        with ready_socket(self.name) as (notifications, address):
            plan = {"name": self.name, "parent": os.getpid(), "show": shown_paths()}
            self._console = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the box; close() closes it
            self._launcher = subprocess.Popen(
                [*OWN_MOUNTS, sys.executable, LAUNCHER, json.dumps(plan)],
                stdin=subprocess.DEVNULL,
                stdout=self._console,
                stderr=self._console,
                start_new_session=True,  # Ctrl-C is for the tests; they close the box
                env={**os.environ, "NOTIFY_SOCKET": address},
            )
            try:
                self._leader_pid = self._wait_until_ready(notifications)
            except BaseException:
                self.close()
                raise
        self.boot_seconds = time.monotonic() - began

    def close(self) -> None:
        """Power the box off and wait until its mounts, cgroup and processes are gone."""
        self._leader_pid = 0
        if self._launcher is not None:
            self._launcher.terminate()
            try:
                self._launcher.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._launcher.kill()
                self._launcher.wait()
            self._launcher = None
        if self._console is not None:
            self._console.close()
            self._console = None

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        check: bool = True,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout_seconds: float = COMMAND_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end; with `check` a failure raises with both outputs in the message."""
        command = self._enter(argv)
        done = subprocess.run(
            command,
            check=False,
            input=stdin,
            env=inside_environment(env),
            timeout=timeout_seconds,
            capture_output=True,
            text=True,
        )
        if check and done.returncode != 0:
            words = " ".join(map(str, argv))
            raise BoxError(f"in the box `{words}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def popen(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        stdin: int | IO[str] | None = subprocess.DEVNULL,
        stdout: int | IO[str] | None = subprocess.PIPE,
        stderr: int | IO[str] | None = subprocess.PIPE,
        env: Mapping[str, str] | None = None,
    ) -> InsideProcess:
        """Start a program inside; a context manager. `send_signal` and `kill` reach the program itself."""
        return InsideProcess(
            self._enter(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=inside_environment(env),
            text=True,
        )

    def path(self, inside: str | os.PathLike[str]) -> pathlib.Path:
        """Where the machine finds a file of the box. No absolute symlink may be on the way (/var/run)."""
        return pathlib.Path(f"/proc/{self.leader_pid}/root") / os.fspath(inside).lstrip("/")

    def write_unit(self, name: str, text: str, *, reload: bool = True) -> str:
        """Write a unit file (or a drop-in, `NAME.d/x.conf`), reload systemd, return the path inside."""
        inside = f"/etc/systemd/system/{name}"
        file = self.path(inside)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if reload:
            self.run(["systemctl", "daemon-reload"])
        return inside

    def console(self) -> str:
        """What the boot has written so far."""
        if self._console is None:
            return ""
        size = os.fstat(self._console.fileno()).st_size
        return os.pread(self._console.fileno(), size, 0).decode(errors="replace")

    def _enter(self, argv: Sequence[str | os.PathLike[str]]) -> list[str]:
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        return [
            "nsenter",
            f"--target={self.leader_pid}",
            *namespaces,
            "--",
            *(os.fspath(word) for word in argv),
        ]

    def _wait_until_ready(self, notifications: socket.socket) -> int:
        """The leader's pid, when systemd has said READY=1."""
        assert self._launcher is not None
        leader = 0
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline and self._launcher.poll() is None:
            try:
                lines = notifications.recv(4096).decode().splitlines()
            except TimeoutError:
                continue
            words = dict(line.partition("=")[::2] for line in lines)
            leader = int(words.get("X_NSPAWN_LEADER_PID", leader))
            if words.get("READY") == "1" and leader:
                return leader
        raise BoxError(f"systemd did not boot within {BOOT_SECONDS:g} s; its console:\n{self.console()}")


def check_possible() -> None:
    """Raise BoxError with everything that is missing here, and what to do about it."""
    if not sys.platform.startswith("linux"):
        raise BoxError(f"a box needs Linux, this is {sys.platform}")
    problems = [
        f"the program {program} is not installed: apt-get install {package}"
        for program, package in NEEDED_PROGRAMS.items()
        if shutil.which(program) is None
    ]
    if not has_capability(CAP_SYS_ADMIN) or os.geteuid() != 0:
        problems.append(
            f"booting systemd needs root with CAP_SYS_ADMIN, this is uid {os.geteuid()}:"
            " run the tests with sudo, in a container with --privileged"
        )
    if problems:
        raise BoxError("a systemd in a box cannot be booted here:\n" + "\n".join(f"- {p}" for p in problems))


def has_capability(number: int) -> bool:
    """Whether this process has the capability in its effective set (/proc/self/status, CapEff)."""
    status = pathlib.Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> number & 1)


def shown_paths() -> list[str]:
    """The source tree and the running Python: the box shows the machine's own ones, read-only.

    Without this they would be missing where they lie on another file system than / or under /tmp.
    """
    wanted = {SOURCE_ROOT, pathlib.Path(sys.prefix), pathlib.Path(sys.base_prefix)}
    return sorted(str(path) for path in wanted if path not in (pathlib.Path("/usr"), pathlib.Path("/")))


def inside_environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """A small, fixed environment: nothing of the machine's leaks into what runs in the box."""
    fixed = {"PATH": INSIDE_PATH, "HOME": "/root", "LANG": "C.UTF-8", "SYSTEMD_PAGER": "", "NO_COLOR": "1"}
    return {**fixed, **(extra or {})}


@contextlib.contextmanager
def ready_socket(name: str) -> Iterator[tuple[socket.socket, str]]:
    """A datagram socket for sd_notify and its NOTIFY_SOCKET address (abstract: it leaves no file)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.bind(f"\0{name}")
        notifications.settimeout(0.2)
        yield notifications, f"@{name}"
