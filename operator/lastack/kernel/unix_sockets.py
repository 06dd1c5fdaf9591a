"""Names of unix sockets that fit into an address. Used by stores (control socket) and hosts (supervisor)."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def short_name(path: pathlib.Path) -> Iterator[str]:
    """A name of the socket at `path` that fits into the 107 bytes of an address, however deep its folder lies.

    Valid inside the block, in this process. Raises OSError when the folder cannot be opened.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
