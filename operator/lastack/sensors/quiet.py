"""Whether a namespace can have a connection at all: what spares most looks their walk over every socket.

Called by sampler for cheap looks. The kernel's count of sockets in use holds listeners and connections, not the
handshakes that have not ended; those show in a counter when there are too many.
"""

from lastack.engine import samples
from lastack.kernel import net_counters

_CROWDED = ("TCPReqQFullDrop", "TCPReqQFullDoCookies")
_MOST_NAMESPACES = 1024
"""Beyond so many remembered namespaces all are forgotten, so that memory stays flat."""


class Gate:
    """Remembers the counters of the look before, by namespace."""

    def __init__(self) -> None:
        """Know nothing."""
        self._crowds: dict[int, int] = {}

    def is_open(self, namespace: samples.NamespaceSample, listening: int) -> bool:
        """False where the namespace, which the calling thread stands in, has `listening` listeners and nothing else.

        True wherever that cannot be told, and while a SYN queue overflows.
        """
        counters = namespace.counters
        if isinstance(counters, samples.Missing):
            return True
        crowd = sum(counters.get(name, 0) for name in _CROWDED)
        if len(self._crowds) >= _MOST_NAMESPACES:
            self._crowds.clear()
        before = self._crowds.get(namespace.inode, crowd)
        self._crowds[namespace.inode] = crowd
        in_use = net_counters.sockets_in_use("thread-self")
        if crowd != before or isinstance(in_use, samples.Missing) or "TCP.inuse" not in in_use:
            return True
        return in_use["TCP.inuse"] + in_use.get("TCP6.inuse", 0) > listening
