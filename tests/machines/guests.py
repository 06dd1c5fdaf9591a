"""What runs inside a machine: the sensor suite, then every lab with `lastack diagnose`. Started by its systemd.

Says each result in one line on the serial console: a mark, a kind, and JSON. Ends by switching the machine off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator

from lastack.kernel import features
from lastack.lab import plans

MARK = "LASTACK-MACHINE"
SUITE = ("tests/kernel", "tests/sensors")
NAMED_WITHIN_SECONDS = 240.0
TEST_SECONDS = 300
PROGRAM = "/usr/bin/lastack"


def say(kind: str, value: object) -> None:
    """One line on the console."""
    with open("/dev/ttyS0", "w", encoding="ascii") as console:  # noqa: PTH123 - a device, written once
        console.write(f"\n{MARK} {kind} {json.dumps(value)}\n")


def suite() -> None:
    """Run the sensor tests, and say how many passed and which failed."""
    report = pathlib.Path("/run/report.xml")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--timeout={TEST_SECONDS}"]
    done = subprocess.run(
        [*words, f"--junit-xml={report}", *SUITE], capture_output=True, text=True, check=False
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    say("suite", {"passed": int(passed[1]) if passed else 0, "failed": failed})
    if failed or not passed:
        say("words", (done.stdout + done.stderr)[-12_000:])


@contextlib.contextmanager
def running(lab: str) -> Iterator[int]:
    """A lab; the pid of its service."""
    process = subprocess.Popen(
        [PROGRAM, "lab", lab], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"is pid (\d+)", line):
                yield int(found[1])
                return
        raise AssertionError(f"lab {lab} ended before it said its pid")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def disease(name: plans.Name) -> dict[str, object]:
    """What diagnose says about a lab in the end; it is asked again until it has the name, for four minutes."""
    began = time.monotonic()
    code: str | None = None
    confidence: str | None = None
    with running(name) as service:
        while code != name.code and time.monotonic() - began < NAMED_WITHIN_SECONDS:
            words = [PROGRAM, "diagnose", "--netns", str(service), "-o", "json"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            items = [item for item in json.loads(done.stdout)["items"] if item["member"]["pid"] == service]
            if items:
                code, confidence = items[0]["code"], items[0]["confidence"]
    after = round(time.monotonic() - began, 1)
    return {
        "lab": name, "expected": name.code, "code": code, "confidence": confidence, "after_seconds": after
    }  # fmt: skip


def main() -> None:
    """All of it; a defect is said and ends the machine as well."""
    try:
        up = float(pathlib.Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        known = {
            name: there
            for name, there in dataclasses.asdict(features.probe()).items()
            if isinstance(there, bool)
        }
        say("up", {"release": os.uname().release, "booted_seconds": round(up, 1), "features": known})
        for name in plans.Name:
            say("disease", disease(name))
        suite()
    except BaseException:
        say("words", traceback.format_exc())
        raise
    finally:
        say("end", None)
        subprocess.run(["systemctl", "poweroff", "--force", "--force"], check=False)


if __name__ == "__main__":
    main()
