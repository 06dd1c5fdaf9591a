"""Reads a ledger from inside the box while lastack writes it: `python -m tests.e2e.systemd.readers STATE_DIR`.

For each number on stdin it prints how many entries come after that one, and then these. Started by beds.py: SQLite
follows no path through /proc/PID/root.
"""

from __future__ import annotations

import pathlib
import sys

from lastack import errors
from lastack.stores import readings, state_dir


def main() -> None:
    """Process entry; ends with stdin."""
    where = state_dir.StateDir(pathlib.Path(sys.argv[1]))
    out = sys.stdout.buffer
    seen = False
    for line in sys.stdin:
        lines: list[bytes] = []
        try:
            if where.database.exists():
                with readings.reading(where) as reading:
                    lines, seen = list(reading.lines(int(line))), True
        except errors.StateDamaged:
            # The first start makes the file before it fills it.
            if seen:
                raise
        out.writelines([b"%d\n" % len(lines), *(each + b"\n" for each in lines)])
        out.flush()


if __name__ == "__main__":
    main()
