"""`lastack run` for members under the small supervisor, as a program: the real host process, told where sockets are.

    python tests/e2e/supervised_run.py STATE_DIR POLICY_DIR TARGET SOCKET

SIGTERM and SIGHUP do what they do to `lastack run`.
"""

from __future__ import annotations

import pathlib
import signal
import sys
import threading

from lastack import bootstrap, settings
from lastack.observability import logs


def main(state_dir: str, policy_dir: str, target: str, socket: str) -> None:
    """Run until SIGTERM."""
    logs.set_up(json=True)
    stop = threading.Event()
    configured = settings.Settings(state_dir=pathlib.Path(state_dir), policy_dir=pathlib.Path(policy_dir))
    process = bootstrap.host_process(configured, supervised_sockets={target: pathlib.Path(socket)})
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: process.reload_policies())
    process.run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
