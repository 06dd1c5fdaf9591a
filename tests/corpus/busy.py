"""`python -m tests.corpus.busy`: every disease of the lab, looked at again and again while both cores are busy.

Part of `make soak`. A verdict that load on the machine changes is a verdict that fails when it is needed. Exit status
0 when all looks agreed; what each said is in build/busy.json, and all that a look rested on that said something else.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from lastack.lab import plans
from tests.lab import labs

_OUT = pathlib.Path(__file__).parents[2] / "build" / "busy.json"
_LABS_AT_ONCE = 3
_RIPE_WITHIN_SECONDS = 120.0


def main() -> int:
    """Look at each lab."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus.busy", description=__doc__)
    parser.add_argument("--looks", type=int, default=20)
    parser.add_argument("--lab", action="append", choices=[name.value for name in plans.Name])
    parser.add_argument("--out", type=pathlib.Path, default=_OUT)
    arguments = parser.parse_args()
    names = [name for name in plans.Name if not arguments.lab or name.value in arguments.lab]
    with _busy_cores(), concurrent.futures.ThreadPoolExecutor(max_workers=_LABS_AT_ONCE) as pool:
        rows = list(pool.map(lambda name: _row(name, arguments.looks), names))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"apiVersion": "lastack.dev/v1alpha1", "kind": "BusyLooks", "rows": rows}
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    changed = [row["lab"] for row in rows if row["said"] != {row["code"]: arguments.looks}]
    for row in rows:
        sys.stdout.write(f"{row['lab']:22} {row['said']}\n")
    sys.stdout.write(f"{len(rows)} labs, {len(changed)} with a changed verdict; {arguments.out}\n")
    return 1 if changed else 0


@contextlib.contextmanager
def _busy_cores() -> Iterator[None]:
    """A process for each core that computes and nothing else."""
    spinning = [multiprocessing.Process(target=_spin, daemon=True) for _ in os.sched_getaffinity(0)]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.join()


def _spin() -> None:
    while True:
        pass


def _row(name: plans.Name, looks: int) -> dict[str, Any]:
    """What was said in so many looks, once the disease had been named for the first time."""
    _, lab = labs.started(name.value)
    answers: list[_Answer] = []
    try:
        service = int(re.findall(r"is pid (\d+)", labs.introduction(lab))[0])
        if _ripen(service, name.code):
            answers = [_look(service) for _ in range(looks)]
    finally:
        lab.send_signal(signal.SIGINT)
        lab.communicate()
    row: dict[str, Any] = {"lab": name.value, "code": name.code}
    row["said"] = dict(collections.Counter(answer.code for answer in answers))
    if changed := [answer.item for answer in answers if answer.code != name.code]:
        row["changed"] = changed
    return row


class _Answer(NamedTuple):
    """What a look said first."""

    code: str
    item: dict[str, Any]
    """The whole item of the document; empty where there was none."""


def _ripen(service: int, code: str) -> bool:
    deadline = time.monotonic() + _RIPE_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if _look(service).code == code:
            return True
    return False


def _look(service: int) -> _Answer:
    """What stands first in the answer."""
    done = subprocess.run(
        [labs.PROGRAM, "diagnose", "--netns", str(service), "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    items = json.loads(done.stdout)["items"] if done.stdout else []
    if not items:
        return _Answer(f"nothing ({done.stderr.strip()[-200:]})", {})
    return _Answer(str(items[0]["code"]), items[0])


if __name__ == "__main__":
    sys.exit(main())
