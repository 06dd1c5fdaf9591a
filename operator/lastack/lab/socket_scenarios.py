"""Scenarios in which the sockets of a process tell, and the one without a disease. Values; called by lab.scenarios."""

from lastack.lab import loads, plans

_FILES_LOOK = "ls /proc/{pid}/fd | wc -l"
_LIMIT_LOOK = "grep 'open files' /proc/{pid}/limits"
_OUTBOUND_LOOK = "{enter} ss -tnp state close-wait 'dport = :9090'"


def _upstream(manner: str) -> plans.Companion:
    port = str(plans.UPSTREAM_PORT)
    arguments = ("--port", port, "--manner", manner)
    return plans.Companion("lastack.lab.upstreams", arguments, listens=plans.UPSTREAM_PORT)


SCENARIOS = (
    plans.Scenario(
        plans.Name.FD_EXHAUSTION,
        "the process may open no more files, and accept() fails",
        (
            (
                "A service may open 64 files, and keeps every connection that it has served. After 60 of them accept() "
                "fails with `too many open files`; the workers try again and again, as most servers do."
            ),
            (
                "From outside it looks like a stall: nobody is accepted, the queue fills with clients that have given "
                "up. The number of open files tells the two apart."
            ),
        ),
        plans.Setting(disease="fd-leak", file_limit=64),
        (loads.Load(plans.MEMBER, plans.PORT, clients=4, think_ms=200),),
        "after about 10 s: the files are used up, and nobody is accepted in its window",
        (
            plans.Look(_FILES_LOOK, "64 in the end"),
            plans.Look(_LIMIT_LOOK, "64, soft and hard"),
            plans.Look(plans.QUEUE_LOOK, "Recv-Q grows: accept() takes nobody out of the queue"),
        ),
    ),
    plans.Scenario(
        plans.Name.HANDLER_STALL,
        "some requests never end, and the queue is empty",
        (
            (
                "A service has a thread for each connection. Most requests need 2 ms. Some need an answer of the "
                "service behind it, on port 9090, which takes connections and never says a word; the handler waits "
                "without a time-out."
            ),
            (
                "Accepting goes on, so that no queue grows and no connection is dropped. The clients of those "
                "requests give up after 2 s, and what they leave is an accepted CLOSE_WAIT socket each, and a thread "
                "that waits for ever."
            ),
        ),
        plans.Setting(workers=0, upstream=plans.UPSTREAM_PORT),
        (
            loads.Load(plans.MEMBER, plans.PORT, clients=4),
            loads.Load("reports", plans.PORT, clients=2, think_ms=1000, path="/report"),
        ),
        "after about 40 s: three of them must be older than 30 s",
        (
            plans.Look(plans.QUEUE_LOOK, "Recv-Q 0: accepting goes on"),
            plans.Look(plans.CLOSE_WAITS_LOOK, "Recv-Q 1: the end of the stream, which nobody reads"),
            plans.Look("py-spy dump --pid {pid}", "more and more handlers in ask_without_time_out"),
            plans.Look(
                "{enter} ss -tnp state established 'dport = :9090'", "what they wait for: a connection each"
            ),
        ),
        (_upstream("silent"),),
    ),
    plans.Scenario(
        plans.Name.FD_LEAK,
        "every client leaves a connection open behind it",
        (
            (
                "A service answers, reads the client's end of file, and then keeps the connection: it was put into a "
                "list that nobody ever empties. Every client gets its answer. Two connections a second stay in "
                "CLOSE_WAIT for ever, until the process may open no more files."
            ),
            (
                "Young connections of this kind may still be closed by somebody, so the diagnosis starts at low "
                "confidence, on which nothing disruptive is ever done; it grows when the oldest is 5 minutes old."
            ),
        ),
        plans.Setting(disease="fd-leak"),
        (loads.Load(plans.MEMBER, plans.PORT, clients=1, think_ms=480),),
        "after about 35 s: 20 held connections whose ages spread over 30 s",
        (
            plans.Look(
                plans.CLOSE_WAITS_LOOK,
                "Recv-Q 0: the application has read the end of file, and has not closed",
            ),
            plans.Look(plans.QUEUE_LOOK, "Recv-Q 0: nobody waits to be accepted"),
            plans.Look(_FILES_LOOK, "grows by two a second"),
        ),
    ),
    plans.Scenario(
        plans.Name.OUTBOUND_LEAK,
        "a pool keeps connections that the other side has closed",
        (
            (
                "For each request a service asks another one, on port 9090, and puts the connection into a pool. The "
                "other side closes it after its answer. Nothing ever takes a dead connection out of the pool: one a "
                "second stays in CLOSE_WAIT, on the service's own, outbound side."
            ),
            (
                "Every client gets its answer. A few of these in an idle pool are healthy; that they grow is not. "
                "While the oldest is younger than 5 minutes it is named at low confidence."
            ),
        ),
        plans.Setting(upstream=plans.UPSTREAM_PORT),
        (loads.Load(plans.MEMBER, plans.PORT, clients=1, think_ms=1000, path="/price"),),
        "after about 25 s: 20 of them to one address and port",
        (
            plans.Look(_OUTBOUND_LOOK, "the peer is port 9090; the service is the client here"),
            plans.Look(plans.CLOSE_WAITS_LOOK, "nothing: no connection of its clients is left"),
            plans.Look(_FILES_LOOK, "grows by one a second"),
        ),
        (_upstream("closing"),),
    ),
    plans.Scenario(
        plans.Name.HALF_CLOSE_IN_USE,
        "clients have shut down their half, and are being served",
        (
            (
                "24 clients ask for a stream, say at once that they will send nothing more, and read. The service has "
                "all 24 in CLOSE_WAIT for ten minutes, and sends to each of them twice a second."
            ),
            "Nothing is wrong. Whoever counts CLOSE_WAIT sockets would restart a service that is at work.",
        ),
        plans.Setting(workers=0),
        (loads.Load(plans.MEMBER, plans.PORT, clients=2),),
        "at once: every CLOSE_WAIT socket has sent within the last 10 s",
        (
            plans.Look(plans.CLOSE_WAITS_LOOK, "24 rows, as many as in a leak"),
            plans.Look(
                "{enter} ss -Htino state close-wait 'sport = :8080' | grep -o 'lastsnd:[0-9]*'",
                "milliseconds since each was last sent to: below 500",
            ),
        ),
        (plans.Companion("lastack.lab.followers", ("--port", str(plans.PORT), "--count", "24")),),
    ),
    plans.Scenario(
        plans.Name.HEALTHY,
        "a service under load, and nothing is wrong",
        (
            (
                "The same service with the same clients, and no disease. What to compare the others with, and a check "
                "that the diagnosis stays silent."
            ),
        ),
        plans.Setting(),
        (loads.Load(plans.MEMBER, plans.PORT, clients=8),),
        "at once: nothing is wrong",
        (
            plans.Look(plans.QUEUE_LOOK, "Recv-Q 0 of Send-Q 50"),
            plans.Look(plans.CLOSE_WAITS_LOOK, "nothing, or one that is about to be closed"),
        ),
    ),
)
