"""Go's net/http."""

import pathlib

from tests.corpus import shapes
from tests.corpus.servers import compiling

_HERE = pathlib.Path(__file__).parent
_BUILT = compiling.folder_of("go-http", _HERE / "serve.go", _HERE / "go.mod")


def _build() -> None:
    compiling.compile_into(
        _BUILT,
        ["go", "build", "-o", "{out}/go-http", "."],
        _HERE,
        install="apt-get install golang-go",
        # No network: there is nothing to fetch, and the compiler at hand is good enough.
        environment={"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"},
    )


GO_HTTP = shapes.Server(
    name="go-http",
    command=(str(_BUILT / "go-http"), "{port}", str(shapes.DOWNSTREAM_PORT)),
    process="go-http",
    address="*",
    backlog=4096,
    # Not "slow": each request has a goroutine of its own, so that waiting ones never make it late.
    handlers=frozenset(
        {
            *("ok", "work", "lock", "downstream", "sleep", "cpu"),
            *("leak", "hoard", "fetch", "longpoll", "download", "stream"),
        }
    ),
    stalls_as="handler-stall",
    workers=10,
    load=(160, 0.1, "slow"),
    overload=0,
    tls=("{certificate}", "{key}"),
    build=_build,
)

SERVERS = (GO_HTTP,)
