"""Every condition of the corpus, sick and healthy, with what may be said in it. Read by runs and tables."""

from tests.corpus import shapes

_PEER = f"127.0.0.1:{shapes.DOWNSTREAM_PORT}"
_WORKERS_STUCK = frozenset({"workers.stuck"})
_FINE = shapes.Expectation(frozenset({"healthy"}))
_VISITORS = "crowd path=ok rate=1 patience=3"
"""Other clients, as a real service has them: they come on, and give up after 3 s."""


def _stall(*causes: str, peer: str | None = None) -> shapes.Expectation:
    """What blocked handlers of this server lead to."""
    return shapes.Expectation(frozenset(), _WORKERS_STUCK, frozenset(causes), peer)


def _only(*codes: str, unless_missing: frozenset[str] = frozenset()) -> shapes.Expectation:
    return shapes.Expectation(frozenset(codes), unless_missing)


SICK = (
    shapes.Condition(
        name="lock",
        story="every worker waits for a lock that is never released; most clients give up",
        sick=True,
        clients=("hang path=lock count={stuck}", _VISITORS),
        ripens_seconds=13,
        needs=frozenset({"lock"}),
        expects=_stall("lock"),
    ),
    shapes.Condition(
        name="downstream",
        story="every worker reads from a downstream that accepts and never answers",
        sick=True,
        clients=("hang path=downstream count={stuck}", _VISITORS),
        ripens_seconds=13,
        needs=frozenset({"downstream"}),
        expects=_stall("downstream", peer=_PEER),
        downstream="silent",
    ),
    shapes.Condition(
        name="sleep",
        story="every worker sleeps for an hour",
        sick=True,
        clients=("hang path=sleep count={stuck}", _VISITORS),
        ripens_seconds=13,
        needs=frozenset({"sleep"}),
        expects=_stall(),
    ),
    shapes.Condition(
        name="cpu",
        story="the handlers compute for ever",
        sick=True,
        clients=("hang path=cpu count={stuck}", _VISITORS),
        ripens_seconds=13,
        needs=frozenset({"cpu"}),
        expects=_stall("cpu"),
        heavy=True,
    ),
    shapes.Condition(
        name="leak-young",
        story="a connection a second is taken over and never closed, for less than a minute",
        sick=True,
        clients=("upgrade path=leak every=0.7", "crowd path=ok rate=5"),
        ripens_seconds=36,
        needs=frozenset({"leak"}),
        expects=_only("fd-leak"),
    ),
    shapes.Condition(
        name="leak",
        story="a connection every two seconds is taken over and never closed, for more than five minutes",
        sick=True,
        clients=("upgrade path=leak every=2", "crowd path=ok rate=5"),
        ripens_seconds=312,
        needs=frozenset({"leak"}),
        expects=_only("fd-leak"),
        patient=True,
    ),
    shapes.Condition(
        name="bursts",
        story="bursts of 120 connections meet an accept queue of 16",
        sick=True,
        clients=("bursts path=ok size=120 every=1.5 patience=4",),
        ripens_seconds=4,
        needs=frozenset({"work"}),
        expects=_only("backlog-too-small"),
        somaxconn=16,
    ),
    shapes.Condition(
        name="overload",
        story="more work arrives than the handlers can do, and every client gives up after 8 s",
        sick=True,
        clients=("crowd path=slow rate={overload} patience=8",),
        ripens_seconds=24,
        needs=frozenset({"slow"}),
        expects=_only("overload"),
    ),
)
HEALTHY = (
    shapes.Condition(
        name="busy",
        story="four fifths of what it can do",
        sick=False,
        clients=("load path={load_path} clients={load_clients} pause={load_pause}",),
        ripens_seconds=4,
        needs=frozenset({"work"}),
        expects=_FINE,
    ),
    shapes.Condition(
        name="churn",
        story="150 connections a second, a request on each",
        sick=False,
        clients=("crowd path=ok rate=150",),
        ripens_seconds=4,
        needs=frozenset({"ok"}),
        expects=_FINE,
    ),
    shapes.Condition(
        name="tls",
        story="the same over TLS, the server's own",
        sick=False,
        clients=("crowd path=ok rate=20 tls=1", "pool path=ok connections=5 every=1 tls=1"),
        ripens_seconds=4,
        needs=frozenset({"ok"}),
        expects=_FINE,
        tls=True,
    ),
    shapes.Condition(
        name="pool",
        story="ten clients that keep their connections, a request a second on each",
        sick=False,
        clients=("pool path=ok connections=10 every=1",),
        ripens_seconds=6,
        needs=frozenset({"ok"}),
        expects=_FINE,
    ),
    shapes.Condition(
        name="fresh",
        story="looked at as soon as it answers after its start",
        sick=False,
        clients=("crowd path=ok rate=20",),
        ripens_seconds=0,
        needs=frozenset({"ok"}),
        expects=_FINE,
    ),
    shapes.Condition(
        name="polls",
        story="long polls of 20 s, of which every second one is given up after 2 s",
        sick=False,
        clients=("polls path=longpoll count={polls} patience=2", "crowd path=ok rate=5"),
        ripens_seconds=25,
        needs=frozenset({"longpoll"}),
        expects=shapes.Expectation(frozenset({"healthy"}), _WORKERS_STUCK),
    ),
    shapes.Condition(
        name="abandoned",
        story="long polls of a minute that all clients gave up half a minute ago, beside ordinary requests",
        sick=False,
        clients=("abandon path=longpoll?seconds=60 count={polls} patience=2", "crowd path=ok rate=5"),
        ripens_seconds=35,
        needs=frozenset({"longpoll"}),
        expects=shapes.Expectation(frozenset({"healthy"}), _WORKERS_STUCK),
    ),
    shapes.Condition(
        name="download",
        story="clients read a large answer slowly, beside ordinary requests",
        sick=False,
        clients=("readers path=download count={polls} rate=65536", "crowd path=ok rate=5"),
        ripens_seconds=12,
        needs=frozenset({"download"}),
        expects=_FINE,
    ),
)
ALL = SICK + HEALTHY


def applies(server: shapes.Server, condition: shapes.Condition) -> bool:
    """Whether a server can be in a condition at all."""
    return condition.needs <= server.handlers and (not condition.tls or bool(server.tls))


def cells(servers: tuple[shapes.Server, ...]) -> list[shapes.Cell]:
    """Every cell of the table, by server."""
    return [shapes.Cell(server, each) for server in servers for each in ALL if applies(server, each)]
