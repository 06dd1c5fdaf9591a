"""Counters that the kernel keeps per network namespace: netstat, snmp, sockstat.

Called by sensors. `/proc/PID/net` is the namespace of PID, so nobody has to enter it. The files are opened
and closed each time: a kept descriptor would pin the namespace of a dead member.
"""

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

    `TCP.alloc`, `TCP.orphan` and `TCP.mem` are of the whole machine. Without IPv6 there is no TCP6.
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
