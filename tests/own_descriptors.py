"""How many files this very process has open. Used by tests that prove that none is left."""

import pathlib


def count() -> int:
    """One by one: the size of the folder tells it only from Linux 6.2 on, and is 0 before."""
    return len(list(pathlib.Path("/proc/self/fd").iterdir()))
