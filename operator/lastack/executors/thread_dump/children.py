"""What the children that read other processes have in common: how they begin, and how they say why they failed.

Used by the children of `node`, `native` and `delve`, and by `stopping`, which reads what they said. What was found goes
to 1; on failure the exit status is 1 and 2 holds one line, `CODE WORDS`.
"""

import errno
import os
import resource
import signal
import sys
from typing import NoReturn

GONE = "gone"
"""The process has ended."""
CLOSED = "closed"
"""It may not be read by us."""
ABSENT = "absent"
"""What reads it is not installed."""
UNSUPPORTED = "unsupported"
"""It is of a kind that cannot be read."""
LATE = "late"
"""It would have stood longer than it may."""
BROKEN = "broken"

_CODES = {errno.ENOENT: GONE, errno.ESRCH: GONE, errno.EPERM: CLOSED, errno.EACCES: CLOSED}


def settle(cpu_seconds: int) -> None:
    """Can be ended at any time, by the kernel as well: SIGALRM bounds a stop, and the processor's time is bounded."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def code_of(problem: OSError) -> str:
    """What an error of a system call means."""
    return _CODES.get(problem.errno or 0, BROKEN)


def fail(code: str, words: str) -> NoReturn:
    """Say why, and end."""
    os.write(2, f"{code} {words}\n".encode(errors="replace"))
    sys.exit(1)
