"""One boot: qemu without acceleration by the hardware, and what the machine said until it ended. Called by __main__."""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from tests.machines import guests, kernels

PROGRAM = "qemu-system-x86_64"
MEMORY_MIB = 3072
PROCESSOR = "max,-cx16"
"""The emulation of cmpxchg16b in qemu 7.2 spoils the flags: Linux 6.12 panicked in its first kmalloc()."""
PATIENCE_SECONDS = 3600.0
KERNEL_WORDS = (
    "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off "
    # Not a first boot: nothing that was unpacked a moment ago has to be brought up to date.
    "systemd.show_status=false systemd.condition-needs-update=0 systemd.condition-first-boot=0 "
    f"systemd.machine_id={uuid.UUID(int=1).hex}"
)


class DidNotRun(Exception):
    """The machine ended before it said that it was up; the last lines of its console."""


def boot(
    kernel: kernels.Kernel, image: pathlib.Path, folder: pathlib.Path, log: pathlib.Path
) -> kernels.Result:
    """Boot, wait for the end or for an hour, and read what was said until then. Raises DidNotRun."""
    (linux,) = folder.rglob("vmlinuz*")
    command = [
        *("setpriv", "--pdeathsig", "KILL", "nice"),
        PROGRAM,
        *("-accel", "tcg,thread=multi", "-smp", "2", "-m", str(MEMORY_MIB), "-cpu", PROCESSOR),
        *("-kernel", str(linux), "-initrd", str(image), "-append", KERNEL_WORDS),
        *("-nographic", "-nodefaults", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-nic", "none"),
    ]
    said: dict[str, list[Any]] = {}
    with (
        log.open("w", encoding="utf-8") as copy,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as machine,
    ):
        assert machine.stdout is not None
        patience = threading.Timer(PATIENCE_SECONDS, machine.kill)
        patience.start()
        try:
            for line in machine.stdout:
                copy.write(line)
                copy.flush()
                hear(line, said)
        finally:
            patience.cancel()
            machine.kill()
    if "up" not in said:
        tail = log.read_text(encoding="utf-8").splitlines()[-30:]
        raise DidNotRun(f"{kernel.suite}: ended early; its console, also in {log}:\n" + "\n".join(tail))
    return result(kernel, said)


def hear(line: str, said: dict[str, list[Any]]) -> None:
    """Keep what a line of the console says, by its kind, and show it."""
    _, mark, rest = line.partition(f"{guests.MARK} ")
    if not mark:
        return
    kind, _, value = rest.strip().partition(" ")
    said.setdefault(kind, []).append(json.loads(value))
    shown = said[kind][-1]
    print(f"  {kind}: {shown if kind != 'words' else ''}", file=sys.stderr, flush=True)  # noqa: T201 - progress
    if kind == "words":
        print(shown, file=sys.stderr, flush=True)  # noqa: T201 - what went wrong, as the machine said it


def result(kernel: kernels.Kernel, said: Mapping[str, list[Any]]) -> kernels.Result:
    """What was said, as a value; what the machine did not come to is missing from it."""
    up = said["up"][0]
    suite = said["suite"][0] if "suite" in said else {"passed": None, "failed": []}
    return kernels.Result(
        suite=kernel.suite,
        known_as=kernel.known_as,
        release=up["release"],
        on=dt.datetime.now(dt.UTC).date().isoformat(),
        host_cores=os.cpu_count() or 1,
        host_load=round(os.getloadavg()[1], 1),
        booted_seconds=up["booted_seconds"],
        passed=suite["passed"],
        failed=tuple(suite["failed"]),
        features=up["features"],
        diseases=tuple(kernels.Disease(**disease) for disease in said.get("disease", [])),
    )
