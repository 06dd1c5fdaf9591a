"""Node's http."""

import pathlib

from tests.corpus import shapes

NODE_HTTP = shapes.Server(
    name="node-http",
    command=(
        *("node", str(pathlib.Path(__file__).parent / "serve.js")),
        *("{port}", str(shapes.DOWNSTREAM_PORT)),
    ),
    process="node",
    address="*",
    backlog=511,
    # Not "stream": it closes a connection whose client has shut down its sending half.
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
)

SERVERS = (NODE_HTTP,)
