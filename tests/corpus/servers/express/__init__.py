"""Express 4 on Node's http, of Debian's packages, which are fetched and not installed."""

import pathlib

from tests.corpus import shapes
from tests.corpus.servers import compiling

HERE = pathlib.Path(__file__).parent
FETCH = ["bash", "fetch", "{out}"]
INSTALL = "it needs node, and apt-get with the sources of Debian 12: as root, apt-get update, then try again"
_BUILT = compiling.folder_of("express", HERE / "fetch", HERE / "packages")


def _build() -> None:
    compiling.compile_into(_BUILT, FETCH, HERE, install=INSTALL)


EXPRESS = shapes.Server(
    name="express",
    command=(
        *("node", str(HERE / "serve.js")),
        *("{port}", str(shapes.DOWNSTREAM_PORT)),
    ),
    process="node",
    address="*",
    backlog=511,
    # Not "stream": Node closes a connection whose client has shut down its sending half.
    handlers=frozenset(
        {
            *("ok", "work", "slow", "lock", "downstream", "sleep", "cpu"),
            *("leak", "hoard", "fetch", "longpoll", "download"),
        }
    ),
    stalls_as="accept-stall",
    workers=1,
    load=(4, 0.07, "work"),
    overload=10,
    tls=("{certificate}", "{key}"),
    # Debian keeps modules there, and Node looks there by itself only where it is Debian's.
    environment={"NODE_PATH": str(_BUILT / "usr" / "share" / "nodejs")},
    build=_build,
)

SERVERS = (EXPRESS,)
