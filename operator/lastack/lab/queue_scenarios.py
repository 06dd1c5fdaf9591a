"""Scenarios in which it is a queue of the kernel that tells. Values; called by lab.scenarios."""

from lastack.lab import loads, plans

_DROPS_LOOK = "{enter} nstat -asz TcpExtListenOverflows TcpExtListenDrops"
_SYN_RECV_LOOK = "{enter} ss -Htn state syn-recv 'sport = :8080' | wc -l"
_FULL_LOOK = "{enter} nstat -asz TcpExtTCPReqQFullDrop TcpExtTCPReqQFullDoCookies"
_COOKIES_LOOK = "{enter} cat /proc/sys/net/ipv4/tcp_syncookies"
_FLOOD = plans.Companion("lastack.lab.floods", ("--port", str(plans.PORT), "--half-open", "120"))
_HANDSHAKES = (
    "A service with a backlog of 50 does its work in 2 ms. Somebody opens handshakes and never finishes them, from "
    "ever new addresses: 51 of them fill its SYN queue, and 20 new ones come every second."
)

SCENARIOS = (
    plans.Scenario(
        plans.Name.ACCEPT_STALL,
        "the workers run out, and nobody accepts",
        (
            (
                "A service with 8 workers takes a lock for each request. Something in it has taken that lock and "
                "never gives it back: every worker that serves a request waits for ever, and after 8 requests "
                "nobody is left who would call accept()."
            ),
            (
                "The kernel goes on to finish handshakes, so that clients connect and then wait for an answer; they "
                "give up after 2 s. What they leave behind is a CLOSE_WAIT socket each, which no process owns yet. "
                "The queue takes 50 and one more, then new connections are dropped."
            ),
        ),
        plans.Setting(disease="accept-stall"),
        (loads.Load(plans.MEMBER, plans.PORT, clients=8),),
        "after about 15 s: the head of the queue must have waited for 10 s",
        (
            plans.Look(
                plans.QUEUE_LOOK,
                "Recv-Q is the depth of the accept queue, Send-Q its limit: 51 of 50 in the end",
            ),
            plans.Look(
                plans.CLOSE_WAITS_LOOK,
                "8 that a worker holds, the rest unaccepted; Recv-Q is the unread request + 1",
            ),
            plans.Look("py-spy dump --pid {pid}", "8 workers in wait_for_inventory_lock"),
        ),
    ),
    plans.Scenario(
        plans.Name.OVERLOAD,
        "more work arrives than is done",
        (
            (
                "A service with 8 workers needs 400 ms for a request: 20 a second. 90 clients want more than that. The "
                "workers accept all the time, and the queue stays full all the same; what does not fit is dropped."
            ),
            (
                "A longer queue would only make everybody wait longer, and a restart would throw the waiting away: "
                "the same 90 clients come again."
            ),
        ),
        # With two workers nobody is taken for seconds, now and then: both wait for a request that the kernel dropped
        # when the queue was full, and that its client repeats ever more seldom. Eight at once do not.
        plans.Setting(workers=8, work_ms=400),
        (loads.Load(plans.MEMBER, plans.PORT, clients=90, think_ms=50, patience_ms=15_000),),
        "at once: the queue stays above half of its limit in all of its window",
        (
            plans.Look(plans.QUEUE_LOOK, "Recv-Q near Send-Q in every look: 51 of 50 when it is full"),
            plans.Look(
                "{enter} ss -tne 'sport = :8080'",
                "the sk: numbers of the rows with ino:0 change: connections are accepted all the time",
            ),
            plans.Look(_DROPS_LOOK, "grow: what does not fit into the queue"),
        ),
    ),
    plans.Scenario(
        plans.Name.BACKLOG_TOO_SMALL,
        "bursts overflow a queue that is emptied every time",
        (
            (
                "A service asks listen() for a backlog of 256, but net.core.somaxconn of its network namespace is 16, "
                "and the smaller of the two counts. Its handlers are quick. Every 2 s come 80 clients at once: the "
                "queue overflows and the kernel drops what does not fit, then the queue is emptied in a moment."
            ),
            "A client whose SYN was dropped tries again after 1 s: people see a service that is slow now and then.",
        ),
        plans.Setting(workers=4, backlog=256, work_ms=15, sysctls=(("net.core.somaxconn", 16),)),
        (loads.Load(plans.MEMBER, plans.PORT, clients=2, burst=80, patience_ms=5000),),
        "at once: its window of 5 s holds two bursts",
        (
            plans.Look(
                plans.QUEUE_LOOK,
                "Send-Q 16 is what listen() got; Recv-Q is 0 most of the time: a gauge misses bursts",
            ),
            plans.Look(_DROPS_LOOK, "the counters do not miss them"),
            plans.Look(
                "{enter} cat /proc/sys/net/core/somaxconn", "16, which the service's backlog of 256 met"
            ),
        ),
    ),
    plans.Scenario(
        plans.Name.SYN_PRESSURE,
        "unfinished handshakes take every place, and syncookies are off",
        (
            _HANDSHAKES,
            (
                "net.ipv4.tcp_syncookies is 0 in this namespace: a SYN that finds no place is dropped, also that of a "
                "client that means well. The accept queue is empty and the workers are idle meanwhile."
            ),
        ),
        plans.Setting(sysctls=(("net.ipv4.tcp_syncookies", 0),)),
        (loads.Load(plans.MEMBER, plans.PORT, clients=4),),
        "at once: the SYN queue is full within seconds",
        (
            plans.Look(_SYN_RECV_LOOK, "about 51: the places of the SYN queue"),
            plans.Look(plans.QUEUE_LOOK, "Recv-Q 0: nobody waits to be accepted"),
            plans.Look(_FULL_LOOK, "TCPReqQFullDrop grows: SYNs that found no place"),
            plans.Look(_COOKIES_LOOK, "0: off"),
        ),
        (_FLOOD,),
    ),
    plans.Scenario(
        plans.Name.SYN_PRESSURE_COOKIES,
        "unfinished handshakes take every place, and syncookies let others in",
        (
            _HANDSHAKES,
            (
                "net.ipv4.tcp_syncookies is 1 in this namespace, as it is by default: a SYN that finds no place is "
                "answered with a cookie and kept nowhere. Clients that finish their handshake are served, some a "
                "little later and without window scaling, and nothing is dropped."
            ),
        ),
        plans.Setting(sysctls=(("net.ipv4.tcp_syncookies", 1),)),
        (loads.Load(plans.MEMBER, plans.PORT, clients=4),),
        "at once: the SYN queue is full within seconds",
        (
            plans.Look(_SYN_RECV_LOOK, "about 51: the places of the SYN queue"),
            plans.Look(plans.QUEUE_LOOK, "Recv-Q 0: nobody waits to be accepted"),
            plans.Look(_FULL_LOOK, "TCPReqQFullDoCookies grows: SYNs that were answered with a cookie"),
            plans.Look(_COOKIES_LOOK, "1: on"),
        ),
        (_FLOOD,),
    ),
)
