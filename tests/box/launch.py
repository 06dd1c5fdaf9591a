"""Boots one systemd in a box and removes every trace of it; a program of its own, started by `boxes.Box`.

It runs as `unshare --mount --propagation private python launch.py PLAN`, so that everything mounted here is
seen by nobody else and ends with this process. The box's root is an overlay over the machine's own root with
all changes in memory: the machine's files are never written. cgroup2 is mounted afresh over /sys/fs/cgroup,
which makes the same boot work where the machine has cgroup v1, hybrid or v2, and whatever its PID 1 is.

Ends on SIGTERM, when the box ends, and when the starting thread dies (PDEATHSIG): then the box is stopped and
its cgroup is removed, also when the tests were killed with SIGKILL. Only the standard library is used.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CGROUP_ROOT = pathlib.Path("/sys/fs/cgroup")
BOX_ROOT = pathlib.Path("/run/box/root")
STOP_SECONDS = 2.0
"""How long the units of the box may take to stop before everything in it is killed."""

MASKED_UNITS = (
    # What a test does not need, or what would carry the machine's own settings into the box.
    "console-getty.service",
    "systemd-sysctl.service",
    "systemd-sysusers.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tmpfiles-setup.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-journal-flush.service",
    "systemd-update-utmp.service",
    "systemd-remount-fs.service",
)
BOX_TARGET = """\
[Unit]
Description=All that a test needs: the basic system and the system bus
Requires=basic.target dbus.service
After=basic.target dbus.service
AllowIsolate=yes
"""
VOLATILE_JOURNAL = "[Journal]\nStorage=volatile\n"


def prctl(option: int, argument: int) -> None:
    """Ask the kernel for a property of this process, which Python itself does not offer."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {argument}) failed")


def die_with_parent(parent: int, ending: signal.Signals) -> None:
    """Ask for the signal `ending` when the thread that started us ends; exit at once if it already has."""
    prctl(PR_SET_PDEATHSIG, ending)
    if os.getppid() != parent:
        sys.exit("the process that wanted this box is gone")


def mount(*words: str) -> None:
    """Mount with the program of that name: its message on stderr is what people see when it fails."""
    subprocess.run(["mount", *words], check=True)


def lay_root() -> None:
    """Mount the overlay and put into it what makes this a box and not the machine.

    /run is covered first: nspawn leaves folders there, and a folder of our own is needed for the layers.
    The machine's /etc/systemd is hidden (an opaque folder), else its enabled services would start here too.
    """
    mount("-t", "tmpfs", "-o", "mode=755,size=50%", "tmpfs", "/run")
    upper, work = pathlib.Path("/run/box/upper"), pathlib.Path("/run/box/work")
    units = upper / "etc/systemd/system"
    for folder in (units, work, BOX_ROOT):
        folder.mkdir(parents=True)
    os.setxattr(upper / "etc/systemd", "trusted.overlay.opaque", b"y")
    (units / "lastack-box.target").write_text(BOX_TARGET)
    for name in MASKED_UNITS:
        (units / name).symlink_to("/dev/null")
    journal = upper / "etc/systemd/journald.conf.d"
    journal.mkdir()
    (journal / "volatile.conf").write_text(VOLATILE_JOURNAL)
    for table in ("fstab", "crypttab"):
        (upper / "etc" / table).write_text("")
    mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", "overlay", str(BOX_ROOT))


def nspawn_command(name: str, shown: list[str]) -> list[str]:
    """The boot; `shown` are paths of the machine that the box sees read-only at the same place."""
    return [
        "systemd-nspawn",
        "--boot",
        f"--directory={BOX_ROOT}",
        f"--machine={name}",
        "--private-network",
        "--register=no",
        "--keep-unit",
        "--notify-ready=yes",
        "--console=read-only",
        "--link-journal=no",
        "--kill-signal=SIGRTMIN+4",
        "--system-call-filter=pidfd_getfd",
        *(f"--bind-ro={path}" for path in shown),
        "systemd.unit=lastack-box.target",
    ]


def remove_cgroup(top: pathlib.Path) -> None:
    """Kill what is still in it, reap it (we are a subreaper) and remove it, from the leaves up.

    Ends when the cgroup and every child are gone. systemd may be taking parts of it away at the same time.
    """
    while top.exists() or has_children():
        for folder, _, _ in os.walk(top, topdown=False):
            cgroup = pathlib.Path(folder)
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for pid in (cgroup / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):  # busy until its last process is reaped: next round
                cgroup.rmdir()
        time.sleep(0.01)


def has_children() -> bool:
    """Reap what has ended; whether a child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return False
    return True


def stop(nspawn: subprocess.Popen[bytes]) -> None:
    """Power the box off; when its units do not stop in time, only nspawn is killed here."""
    nspawn.terminate()
    try:
        nspawn.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        nspawn.kill()
        nspawn.wait()


def asked_to_stop(_signal: int, _frame: object) -> None:
    """Turn SIGTERM into the exit of the main line, so that its `finally` runs."""
    raise SystemExit(0)


def main() -> int:
    """Boot what PLAN (JSON: name, parent, show) says and stay until it ends."""
    plan = json.loads(sys.argv[1])
    signal.signal(signal.SIGTERM, asked_to_stop)
    die_with_parent(plan["parent"], signal.SIGTERM)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    lay_root()
    mount("-t", "cgroup2", "cgroup2", str(CGROUP_ROOT))
    own_cgroup = CGROUP_ROOT / plan["name"]
    own_cgroup.mkdir()

    launcher = os.getpid()

    def enter_own_cgroup() -> None:
        die_with_parent(launcher, signal.SIGKILL)
        (own_cgroup / "cgroup.procs").write_text(str(os.getpid()))

    nspawn: subprocess.Popen[bytes] | None = None
    try:
        nspawn = subprocess.Popen(
            nspawn_command(plan["name"], plan["show"]),
            stdin=subprocess.DEVNULL,
            # nspawn alone may be in it: it divides it further. We have one thread, so this is safe.
            preexec_fn=enter_own_cgroup,  # noqa: PLW1509
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )
        return nspawn.wait()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: nothing may interrupt the cleaning
        if nspawn is not None:
            stop(nspawn)
        remove_cgroup(own_cgroup)


if __name__ == "__main__":
    sys.exit(main())
