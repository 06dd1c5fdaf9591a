"""What a network namespace counts and how it is set: TcpExt and Tcp counters, net sysctls. Called by sampler.

Reads what the calling thread stands in: sampler runs it inside the namespace that it looks at.
"""

from collections.abc import Iterable

from lastack.engine import samples
from lastack.kernel import net_counters, net_sysctls, netns


def read(sysctls: Iterable[str], listeners: int) -> samples.NamespaceSample:
    """The namespace of the calling thread, with its `listeners`; a sysctl that does not exist there is left out."""
    values = {name: net_sysctls.read(name) for name in sysctls}
    return samples.NamespaceSample(
        inode=netns.own().inode,
        counters=net_counters.counters("thread-self"),
        sysctls={name: value for name, value in values.items() if isinstance(value, str)},
        listeners=listeners,
    )
