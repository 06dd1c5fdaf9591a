"""Every condition of the corpus, sick and healthy, with what may be said in it. Read by runs and tables."""

from tests.corpus import shapes

_PEER = f"127.0.0.1:{shapes.DOWNSTREAM_PORT}"
_WORKERS_STUCK = frozenset({"workers.stuck"})
_QUEUE = frozenset({"acceptQueue.depth", "acceptQueue.headAge", "acceptProgress"})
_SOMAXCONN = "net.core.somaxconn"
_SYNCOOKIES = "net.ipv4.tcp_syncookies"
_FINE = shapes.Expectation(frozenset({"healthy"}))
_VISITORS = "crowd path=ok rate=1 patience=3"
"""Other clients, as a real service has them: they come on, and give up after 3 s."""


_REGULARS = "load path=ok clients=2 pause=0.3"
"""Ordinary requests beside what happens."""


def _stall(*causes: str, peer: str | None = None) -> shapes.Expectation:
    """What blocked handlers of this server lead to."""
    return shapes.Expectation(frozenset(), _WORKERS_STUCK, frozenset(causes), peer)


def _only(*codes: str, unless_missing: frozenset[str] = frozenset()) -> shapes.Expectation:
    return shapes.Expectation(frozenset(codes), unless_missing)


SICK = (
    shapes.Condition(
        name="lock",
        story="every worker waits for a lock that is never released; most clients give up",
        clients=("hang path=lock count={stuck}", _VISITORS),
        ripens_seconds=13,
        needs=frozenset({"lock"}),
        expects=_stall("lock"),
    ),
    shapes.Condition(
        name="downstream",
        story="every worker reads from a downstream that accepts and never answers",
        clients=("hang path=downstream count={stuck}", _VISITORS),
        ripens_seconds=13,
        needs=frozenset({"downstream"}),
        expects=_stall("downstream", peer=_PEER),
        downstream="silent",
    ),
    shapes.Condition(
        name="downstream-old",
        story="handlers wait for a downstream for more than five minutes; clients come on, and give up after 3 s",
        clients=("crowd path=downstream rate=0.4 patience=3", _REGULARS),
        ripens_seconds=330,
        needs=frozenset({"downstream"}),
        expects=_stall("downstream", peer=_PEER),
        downstream="silent",
        patient=True,
        # Whose keep-alive ends the connections of clients that left, so that they look like forgotten ones.
        only=frozenset({"go-http"}),
    ),
    shapes.Condition(
        name="sleep",
        story="every worker sleeps for an hour",
        clients=("hang path=sleep count={stuck}", _VISITORS),
        ripens_seconds=13,
        needs=frozenset({"sleep"}),
        expects=_stall(),
    ),
    shapes.Condition(
        name="cpu",
        story="the handlers compute for ever",
        clients=("hang path=cpu count={spinning}", _VISITORS),
        ripens_seconds=13,
        needs=frozenset({"cpu"}),
        expects=_stall("cpu"),
        heavy=True,
    ),
    shapes.Condition(
        name="leak-young",
        story="a connection a second is taken over and never closed, for less than a minute",
        clients=("upgrade path=leak every=0.7", _REGULARS),
        ripens_seconds=36,
        needs=frozenset({"leak"}),
        expects=_only("fd-leak"),
    ),
    shapes.Condition(
        name="leak",
        story="a connection every two seconds is taken over and never closed, for more than five minutes",
        clients=("upgrade path=leak every=2", _REGULARS),
        ripens_seconds=312,
        needs=frozenset({"leak"}),
        expects=_only("fd-leak"),
        patient=True,
    ),
    shapes.Condition(
        name="bursts",
        story="bursts of connections of two clients meet an accept queue of 16",
        # Two at the same moment, as a server with several workers takes from one as fast as it connects.
        clients=("bursts path=ok size={burst} every=1.3 patience=4",) * 2,
        ripens_seconds=4,
        needs=frozenset({"work"}),
        expects=_only("backlog-too-small", unless_missing=frozenset({"acceptQueue.depth"})),
        sysctls={_SOMAXCONN: 16},
        overflows=True,
    ),
    shapes.Condition(
        name="overload",
        story="more work arrives than the handlers can do, and every client gives up after 8 s",
        clients=("crowd path=slow rate={overload} patience=8",),
        ripens_seconds=24,
        needs=frozenset({"slow"}),
        expects=_only("overload", unless_missing=_QUEUE),
    ),
    shapes.Condition(
        name="murdered",
        story="the worker waits for a lock, its master kills it within the window, and the next one gets stuck",
        clients=("hang path=lock count={stuck}", _VISITORS),
        ripens_seconds=27.5,
        needs=frozenset({"lock"}),
        expects=_only("accept-stall", "overload"),
        only=frozenset({"gunicorn-sync"}),
    ),
    shapes.Condition(
        name="exhausted",
        story="every request opens a file that nobody closes, until the limit of open files; others go on coming",
        clients=("load path=hoard clients=2 pause=0.02", "crowd path=ok rate=2 patience=4"),
        ripens_seconds=24,
        needs=frozenset({"hoard"}),
        expects=_only("fd-exhaustion"),
        scarce_files=True,
    ),
    shapes.Condition(
        name="leak-exhausted",
        story="connections are taken over and never closed, until the limit of open files; others go on coming",
        clients=("upgrade path=leak every=0.1", "crowd path=ok rate=2 patience=4"),
        ripens_seconds=24,
        needs=frozenset({"leak"}),
        expects=_only("fd-exhaustion"),
        scarce_files=True,
    ),
    shapes.Condition(
        name="responses",
        story="every request asks a downstream and never closes its answer, for more than five minutes",
        clients=("load path=fetch clients=1 pause=2",),
        ripens_seconds=370,
        needs=frozenset({"fetch"}),
        expects=_only("outbound-leak"),
        downstream="brief",
        patient=True,
    ),
    shapes.Condition(
        name="responses-young",
        story="the same for half a minute: nothing is firm yet",
        clients=("load path=fetch clients=1 pause=0.5",),
        ripens_seconds=30,
        needs=frozenset({"fetch"}),
        expects=_only("outbound-leak", "healthy"),
        downstream="brief",
    ),
    shapes.Condition(
        name="syn-flood",
        story="handshakes that nobody finishes fill the SYN queue of 128, syncookies on; others go on coming",
        clients=("flood half_open=140 fresh=20", _REGULARS),
        ripens_seconds=6,
        needs=frozenset({"ok"}),
        expects=_only("syn-pressure"),
        sysctls={_SOMAXCONN: 128},
    ),
    shapes.Condition(
        name="syn-flood-no-cookies",
        story="the same with syncookies off: SYNs are dropped",
        clients=("flood half_open=140 fresh=20", _VISITORS),
        ripens_seconds=6,
        needs=frozenset({"ok"}),
        expects=_only("syn-pressure"),
        sysctls={_SOMAXCONN: 128, _SYNCOOKIES: 0},
    ),
)
HEALTHY = (
    shapes.Condition(
        name="busy",
        story="four fifths of what it can do",
        clients=("load path={load_path} clients={load_clients} pause={load_pause}",),
        ripens_seconds=4,
        needs=frozenset({"work"}),
        expects=_FINE,
        served=True,
    ),
    shapes.Condition(
        name="churn",
        story="six clients that open a connection for each of their requests, a hundredth of a second apart",
        clients=("load path=ok clients=6 pause=0.01",),
        ripens_seconds=4,
        needs=frozenset({"ok"}),
        expects=_FINE,
        served=True,
    ),
    shapes.Condition(
        name="tls",
        story="the same over TLS, the server's own",
        clients=("load path=ok clients=3 pause=0.1 tls=1", "pool path=ok connections=5 every=1 tls=1"),
        ripens_seconds=4,
        needs=frozenset({"ok"}),
        expects=_FINE,
        served=True,
        tls=True,
    ),
    shapes.Condition(
        name="pool",
        story="ten clients that keep their connections, a request a second on each",
        clients=("pool path=ok connections=10 every=1",),
        ripens_seconds=6,
        needs=frozenset({"ok"}),
        expects=_FINE,
        served=True,
    ),
    shapes.Condition(
        name="fresh",
        story="looked at as soon as it answers after its start",
        clients=("load path=ok clients=4 pause=0.1",),
        ripens_seconds=0,
        needs=frozenset({"ok"}),
        expects=_FINE,
        served=True,
    ),
    shapes.Condition(
        name="polls",
        story="long polls of 20 s, of which every second one is given up after 2 s",
        clients=("polls path=longpoll count={polls} patience=2", _REGULARS),
        ripens_seconds=25,
        needs=frozenset({"longpoll"}),
        expects=shapes.Expectation(frozenset({"healthy"}), _WORKERS_STUCK),
    ),
    shapes.Condition(
        name="abandoned",
        story="long polls of a minute that all clients gave up half a minute ago, beside ordinary requests",
        clients=("abandon path=longpoll?seconds=60 count={polls} patience=2", _REGULARS),
        ripens_seconds=35,
        needs=frozenset({"longpoll"}),
        expects=shapes.Expectation(frozenset({"healthy"}), _WORKERS_STUCK),
    ),
    shapes.Condition(
        name="download",
        story="clients read a large answer slowly, beside ordinary requests",
        clients=("readers path=download count={polls} rate=65536", _REGULARS),
        ripens_seconds=12,
        needs=frozenset({"download"}),
        expects=_FINE,
        served=True,
    ),
    shapes.Condition(
        name="half-closed",
        story="clients end their sending half after the request and listen to a stream, as nc does",
        clients=("half_close path=stream count={polls}", _REGULARS),
        ripens_seconds=8,
        needs=frozenset({"stream"}),
        expects=_only("healthy", "half-close-in-use"),
    ),
    shapes.Condition(
        name="deaf-upstream",
        story="a proxy whose upstream listens and never accepts: the upstream is sick, the proxy is not",
        clients=("crowd path=downstream rate=5 patience=4", _REGULARS),
        ripens_seconds=14,
        needs=frozenset({"downstream", "ok"}),
        expects=shapes.Expectation(frozenset({"healthy"}), beside=frozenset({"accept-stall"})),
        downstream="deaf",
        only=frozenset({"nginx"}),
    ),
    shapes.Condition(
        name="gone-upstream",
        story="a proxy whose upstream is gone: it answers 502",
        clients=("crowd path=downstream rate=5 patience=4", _REGULARS),
        ripens_seconds=6,
        needs=frozenset({"downstream", "ok"}),
        expects=_FINE,
        downstream="gone",
        only=frozenset({"nginx"}),
    ),
)
ALL = SICK + HEALTHY


def applies(server: shapes.Server, condition: shapes.Condition) -> bool:
    """Whether a server can be in a condition at all."""
    named = not condition.only or server.name in condition.only
    return named and condition.needs <= server.handlers and (not condition.tls or bool(server.tls))


def cells(servers: tuple[shapes.Server, ...]) -> list[shapes.Cell]:
    """Every cell of the table, by server."""
    return [shapes.Cell(server, each) for server in servers for each in ALL if applies(server, each)]
