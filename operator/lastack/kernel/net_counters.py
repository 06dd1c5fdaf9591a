"""Counters that the kernel keeps per network namespace: netstat, snmp, sockstat.

Called by sensors. `/proc/PID/net` is the namespace of PID, so nobody has to enter it. The files are opened
and closed each time: a kept descriptor would pin the namespace of a dead member. `Kept` is for those who look at a
hundred namespaces each second and close it when its process ends.
"""

import contextlib
import os
import re
from typing import Self

from lastack.engine import samples
from lastack.kernel import procfs


def counters(pid: int | str = "self") -> dict[str, int] | samples.Missing:
    """TcpExt and Tcp counters of a process's namespace by kernel name (ListenDrops, PassiveOpens, ...)."""
    found: dict[str, int] = {}
    for name, prefix in (("netstat", b"TcpExt:"), ("snmp", b"Tcp:")):
        path = f"/proc/{pid}/net/{name}"
        content = procfs.read(path)
        if isinstance(content, samples.Missing):
            return content
        rows = [line.split() for line in content.splitlines() if line.startswith(prefix)]
        if len(rows) != 2 or len(rows[0]) != len(rows[1]):
            return samples.Missing(f"{path} has a shape that is not known")
        names, values = rows
        found.update((key.decode(), int(value)) for key, value in zip(names[1:], values[1:], strict=True))
    return found


def sockets_in_use(pid: int | str = "self") -> dict[str, int] | samples.Missing:
    """`TCP.inuse`, `TCP.tw`, `TCP6.inuse` ... of a process's namespace: a bound of its CLOSE_WAIT sockets.

    `sockets.used` counts those of every kind. `TCP.alloc`, `TCP.orphan` and `TCP.mem` are of the whole machine.
    Without IPv6 there is no TCP6.
    """
    content = procfs.read(f"/proc/{pid}/net/sockstat")
    if isinstance(content, samples.Missing):
        return content
    content6 = procfs.read(f"/proc/{pid}/net/sockstat6")
    lines = content.splitlines() + ([] if isinstance(content6, samples.Missing) else content6.splitlines())
    found: dict[str, int] = {}
    for line in lines:
        protocol, _, rest = line.partition(b":")
        words = rest.split()
        for key, value in zip(words[::2], words[1::2], strict=False):
            found[f"{protocol.decode()}.{key.decode()}"] = int(value)
    return found


_IN_USE = re.compile(rb"^TCP6?: inuse (\d+)", re.MULTILINE)
# The two lines of snmp that begin so: names, then values.
_TCP_LINE = b"\nTcp: "


class Kept:
    """Two gauges of one namespace over kept descriptors, which pin it until close().

    Raises nothing once it is open: what cannot be read is Missing.
    """

    def __init__(self, descriptors: tuple[int, ...], segments_at: tuple[int, int]) -> None:
        """Own the descriptors of snmp and of the sockstats."""
        self._snmp, *self._sockstats = descriptors
        self._segments_at = segments_at
        self._before: tuple[bytes, tuple[int, int]] = (b"", (0, 0))

    @classmethod
    def open(cls, pid: int) -> Self | samples.Missing:
        """The gauges of a process's namespace."""
        opened: list[int] = []
        for name in ("snmp", "sockstat", "sockstat6"):
            path = f"/proc/{pid}/net/{name}"
            try:
                opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except FileNotFoundError as problem:
                # Without IPv6 there is no sockstat6.
                if name == "sockstat6":
                    continue
                return _given_up(opened, procfs.missing(problem, path))
            except OSError as problem:
                return _given_up(opened, procfs.missing(problem, path))
        words = _tcp_lines(os.pread(opened[0], 65536, 0))[0].split()
        if b"InSegs" not in words or b"OutSegs" not in words:
            return _given_up(opened, samples.Missing(f"/proc/{pid}/net/snmp has a shape that is not known"))
        return cls(tuple(opened), (words.index(b"InSegs"), words.index(b"OutSegs")))

    def segments(self) -> tuple[int, int] | samples.Missing:
        """TCP segments that came and went since the namespace was made; both families, loopback too."""
        try:
            content = os.pread(self._snmp, 65536, 0)
        except OSError as problem:
            return procfs.missing(problem, "snmp")
        before, found = self._before
        if content == before:
            return found
        words = _tcp_lines(content)[1].split()
        came, went = self._segments_at
        if len(words) <= max(came, went):
            return samples.Missing("snmp has a shape that is not known")
        found = (int(words[came]), int(words[went]))
        self._before = (content, found)
        return found

    def in_use(self) -> int | samples.Missing:
        """TCP sockets of both families that listen or are connected, TIME_WAIT and half-open ones left out."""
        found = 0
        for descriptor in self._sockstats:
            try:
                match = _IN_USE.search(os.pread(descriptor, 4096, 0))
            except OSError as problem:
                return procfs.missing(problem, "sockstat")
            if match is None:
                return samples.Missing("sockstat has a shape that is not known")
            found += int(match[1])
        return found

    def close(self) -> None:
        """Give the descriptors, and with them the namespace, back. May be called twice."""
        for descriptor in (self._snmp, *self._sockstats):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._snmp, self._sockstats = -1, []


def _given_up(opened: list[int], why: samples.Missing) -> samples.Missing:
    for descriptor in opened:
        os.close(descriptor)
    return why


def _tcp_lines(content: bytes) -> tuple[bytes, bytes]:
    """What stands behind `Tcp:` in its two lines; empty where there are none."""
    lines = content.split(_TCP_LINE)
    return (lines[1], lines[2].partition(b"\n")[0]) if len(lines) == 3 else (b"", b"")
