"""Watching many quiet namespaces at the pace of one round a second: what a round costs, line by line.

Started by the many_namespaces case as `python -m benchmarks.rounding NAMESPACES CONNECTIONS SOCKETS ROUNDS`, in a
pid namespace of its own, so that other namespaces of the machine are not looked at. SOCKETS more stand in the
namespace of this process, 2 % of them in CLOSE_WAIT. It writes one JSON document: what the first round cost, and a
later one: the mean of ROUNDS rounds, the lowest of three such spans, because other work on the machine only adds. And
how often a quiet namespace was given with a sample that was not of its round, which has to be never.
"""

import contextlib
import json
import statistics
import sys
import time

from benchmarks import population, tenants
from lastack.kernel import clocks, features, netns
from lastack.sensors import rounds, sampler

_PERCENT = 2
_WARM = 3
_SPANS = 3


def main() -> None:
    """Make the namespaces, look once a second, write the figures."""
    namespaces, connections, sockets, rounds_each = map(int, sys.argv[1:])
    netns.unshare_net()
    with contextlib.ExitStack() as stack:
        if sockets:
            stack.enter_context(population.held(population.Population.of(sockets, _PERCENT)))
        pids = stack.enter_context(tenants.held(namespaces, connections))
        inodes = [netns.identify(netns.path_of(pid)).inode for pid in pids]
        clock, offered = clocks.SystemClock(), features.probe()
        eye = sampler.SocketSampler(clock, offered)
        all_namespaces = stack.enter_context(rounds.Rounds(clock, offered, eye))
        costs, old = [], 0
        due = time.monotonic()
        for _ in range(_WARM + _SPANS * rounds_each):
            now, begun = clock.now(), time.process_time()
            found = all_namespaces.look().found
            costs.append((time.process_time() - begun) * 1000)
            old += sum(found[inode].at.steady < now.steady for inode in inodes)
            due = max(due + 1, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        steady = costs[_WARM:]
        spans = [statistics.mean(steady[at : at + rounds_each]) for at in range(0, len(steady), rounds_each)]
        document = {"firstMs": costs[0], "meanMs": min(spans), "notOfTheirRound": old}
    print(json.dumps(document))


if __name__ == "__main__":
    main()
