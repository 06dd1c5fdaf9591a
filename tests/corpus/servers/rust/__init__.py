"""axum, on the threads of tokio. Its crates come from Cargo's registry: it is in `make corpus`, not in CI."""

import os
import pathlib

from tests.corpus import shapes
from tests.corpus.servers import compiling

_HERE = pathlib.Path(__file__).parent
_BUILT = compiling.folder_of("axum", _HERE / "src" / "main.rs", _HERE / "Cargo.toml")
_THREADS = len(os.sched_getaffinity(0))


def _build() -> None:
    compiling.compile_into(
        _BUILT,
        ["cargo", "install", "--quiet", "--path", ".", "--target-dir", "../target", "--root", "{out}"],
        _HERE,
        install="install Rust with rustup (1.95 was tried; the 1.63 of Debian 12 is too old), with its registry",
    )


AXUM = shapes.Server(
    name="axum",
    command=(str(_BUILT / "bin" / "axum"), "{port}", str(shapes.DOWNSTREAM_PORT)),
    process="axum",
    address="0.0.0.0",
    backlog=128,
    # Not "stream": it closes a connection whose client has shut down its sending half.
    handlers=frozenset(
        {
            *("ok", "work", "slow", "lock", "downstream", "sleep", "cpu"),
            *("leak", "hoard", "fetch", "longpoll", "download"),
        }
    ),
    stalls_as="accept-stall",
    workers=_THREADS,
    load=(4 * _THREADS, 0.07, "work"),
    overload=10 * _THREADS,
    build=_build,
    in_ci=False,
)

SERVERS = (AXUM,)
