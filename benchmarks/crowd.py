"""A member with a crowd of sockets: holds a population until it is stopped. Started by the host_process case.

Called as `python -m benchmarks.crowd SOCKETS PERCENT READY_FILE`; the file appears when all sockets stand.
"""

import pathlib
import signal
import sys

from benchmarks import population


def main() -> None:
    """Make the population, say so, wait for SIGTERM."""
    sockets, percent, ready = sys.argv[1:]
    stopped = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopped)
    with population.held(population.Population.of(int(sockets), int(percent))):
        pathlib.Path(ready).touch()
        signal.sigwait(stopped)


if __name__ == "__main__":
    main()
