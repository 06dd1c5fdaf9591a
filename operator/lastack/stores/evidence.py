"""Evidence files: dumps and samples of a sick process, readable by their owner only. Called by executors.

Implements ports.EvidenceStore. A dump may hold secrets of the process: folders are 0700, files 0600. The SHA-256 is
that of the content before compression: `zcat FILE | sha256sum` shows it.
"""

from __future__ import annotations

import gzip
import hashlib
import re

from lastack import errors
from lastack.engine import outcomes
from lastack.stores import durable_files, state_dir

_ODD = re.compile(r"[^A-Za-z0-9._@-]+")
_LONGEST_NAME = 100
_MOST_OF_ONE_NAME = 10_000


class EvidenceFiles:
    """The evidence folder of a state directory; `max_bytes` bounds one content before compression.

    Nothing is kept that would leave less than `keep_free_bytes` on the file system: the ledger needs that room.
    """

    def __init__(self, where: state_dir.StateDir, *, max_bytes: int, keep_free_bytes: int = 0) -> None:
        self._where = where
        self._max_bytes = max_bytes
        self._keep_free_bytes = keep_free_bytes

    def keep(self, incident: str, name: str, content: bytes, what: str) -> outcomes.EvidenceFile:
        """Store one file durably; a name that is taken gets a number. Raises StateUnusable when there is no room."""
        folder = self._where.evidence_folder / _safe(incident)
        durable_files.make_folder(self._where.evidence_folder)
        durable_files.make_folder(folder)
        content = self._bounded(content)
        # No time and no name inside: the same content is the same file.
        packed = gzip.compress(content, compresslevel=6, mtime=0)
        self._must_leave_room(len(packed), what)
        stem = _safe(name)
        for number in range(1, _MOST_OF_ONE_NAME):
            path = folder / (f"{stem}.gz" if number == 1 else f"{stem}-{number}.gz")
            if path.exists():
                continue
            durable_files.write(path, packed)
            return outcomes.EvidenceFile(
                path=str(path.relative_to(self._where.path)),
                bytes=len(packed),
                sha256=hashlib.sha256(content).hexdigest(),
                what=what,
            )
        raise errors.StateUnusable(
            f"{folder} holds {_MOST_OF_ONE_NAME} files called {stem}; remove some of them"
        )

    def _must_leave_room(self, size: int, what: str) -> None:
        room = self._where.room()
        if room - size < self._keep_free_bytes:
            raise errors.StateUnusable(
                f"no room for {what}: {room // 2**20} MiB are left on the file system of {self._where.path}, and "
                f"{self._keep_free_bytes // 2**20} MiB of it are the ledger's",
                fix=f"free some space, for instance of old incidents below {self._where.evidence_folder}",
            )

    def _bounded(self, content: bytes) -> bytes:
        if len(content) <= self._max_bytes:
            return content
        left = len(content) - self._max_bytes
        said = f"\n[cut by lastack: {left} of {len(content)} bytes are not kept, the limit is {self._max_bytes}]\n"
        return content[: self._max_bytes] + said.encode()


def _safe(name: str) -> str:
    """A file name made of what the world said: no folder, nothing hidden, nothing odd, never empty."""
    return _ODD.sub("_", name).lstrip(".")[:_LONGEST_NAME] or "unnamed"
