"""Every number of the engine, each with its reason. Nothing else in engine/ holds one."""

import datetime as dt

STALL_HEAD_AGE = dt.timedelta(seconds=10)
"""A connection that waited so long for accept() has outlived the usual client time-outs (5 to 10 s); a healthy
server accepts within milliseconds, a busy one within a second or two."""

STARTING = dt.timedelta(minutes=2)
"""A service that listens before it is ready takes nobody until it is: within two minutes most are, and the start time
that systemd and Kubernetes grant is no longer by default (90 s, and three probes 10 s apart)."""

CRITICAL_HEAD_AGE = dt.timedelta(seconds=30)
"""Few clients wait longer: whoever is behind the head of the queue has given up."""

LEAK_HELD = 20
"""Fewer held sockets are a pool or a few abandoned long polls; a leak passes this on its way in any case."""

LEAK_SPREAD = dt.timedelta(seconds=30)
"""Sockets of a leak joined one by one; a burst of clients that left together is not a leak yet."""

LEAK_OLD = dt.timedelta(minutes=5)
"""Younger held sockets may still be closed by their handler: most request time-outs are below five minutes."""

DRAINED_SHARE = 0.5
"""A queue that falls below half of its limit between bursts is emptied faster than it fills: it is too short, not
too slow. One that stays above is overload, where a longer queue only makes everybody wait longer."""

BEHIND_ROWS = 10
"""So many accepted connections whose clients left before anybody read them, and at least half of what the queue holds:
the application does not keep up, though its queue drains. On four real servers whose only fault was a short backlog
there were none to three."""

BEHIND_AGE = dt.timedelta(seconds=2)
"""Or so many whose request has stood unread since their client left that long ago, or somebody waits that long in a
queue that overflows: who keeps up takes and reads everybody within a fraction of that. Of an overloaded axum 34 were
unread for up to 18 s, or the first of its queue of 128 waited for seconds until all were taken in one gulp; or 240 of
266 whose clients still waited had been taken in a gulp and not been read for 2 to 8 s, and nothing was dropped yet."""

STEADY_LOOKS = 5
"""So many looks are not in step with bursts that come once a second; fewer may be, on a busy machine."""

DROPS_AGREE = 0.1
"""When the drops of a listener and those of its namespace differ by no more than a tenth they are the same ones, read
a moment apart; stray segments, which only the listener counts, would have to match another's drops by chance."""

HANDLER_ROWS = 3
"""One or two connections that nobody answers are a slow page or a browser tab; three are a pattern."""

HANDLER_AGE = dt.timedelta(seconds=30)
"""Most clients have given up long before, and most handlers have a time-out of 30 s or less for what they call."""

HANDLER_OLD = dt.timedelta(minutes=10)
"""No long poll in wide use lasts longer: what is older and unanswered has been forgotten, not held back."""

HANDLER_OUTLIVED = dt.timedelta(minutes=2)
"""Polls that began together end together, so that none of them ends for a while, and others end meanwhile; the usual
ones last 30 to 90 s. Unanswered for longer, while others are answered, is more than a poll; so it is when a thread
stands still for each, as the readers of a message bus do all day."""

HANDLER_ENDINGS = 3
"""If the connections ended at their own ages so many should have ended in the window; that none did by chance has a
probability below 5 % (e to the power of -3)."""

RUNNING_READINGS = 5
"""A thread that is busy four fifths of the time is found running five times in a row once in three; three such threads
once in thirty. A loop without an end is found running always."""

FORGOTTEN_AGE = dt.timedelta(seconds=55)
"""Linux remembers its closed half of a connection for 60 s (tcp_fin_timeout), less the time between two looks: what is
reset before was sent something by the application."""

LOOK_SKEW = dt.timedelta(seconds=1)
"""A look has its time from before its rows are read, which on a busy machine is some tenths of a second later; ages
of sockets are counted in ticks of 4 ms besides."""

STILL_SENDS = dt.timedelta(seconds=10)
"""Who has sent within this is answering a client that has only finished sending."""

CLOSE_SETTLED = dt.timedelta(seconds=2)
"""A younger CLOSE_WAIT is a close on its way, as a healthy server has thousands of times; what becomes of it says
nothing about those that stay."""

TABLE_OF_DEAD = 0.5
"""When connections whose clients have left hold half of the file limit, the table does not empty by itself. When living
ones hold as much, their clients may come again after a restart, and fill it again."""

SYN_FULL = 0.75
"""Three quarters of the limit of the SYN queue: the next burst of handshakes does not fit. It is also where the kernel
itself begins to drop with tcp_syncookies 0."""

SYN_BACKLOG_SHARE = 0.75
"""With tcp_syncookies 0 the kernel keeps a quarter of tcp_max_syn_backlog free for peers that it knows (measured: 97 of
128 were taken)."""

SYN_LEAST = 8
"""Fewer handshakes are those of a few slow clients, however short the queue is: a backlog of 5 is full with 5."""

SYN_HALF = 0.5
"""The counters of refused handshakes are of the namespace; a listener with less than half of its SYN queue in use has
not caused them."""

FULL_WINDOW = dt.timedelta(seconds=4)
"""High confidence needs to have watched for so long: the default window is 5 s, less the time of the looks."""

SUSPECT_FILES_MARGIN = 2
"""accept() needs one descriptor and most servers keep one in reserve: two below the soft limit is exhausted."""

STALE_SAMPLES = 3
"""A judgement older than three sampling intervals says nothing about now."""

WINDOW_SAMPLES = 3
"""A judgement rests on at least three looks: two instants make a rate, the third shows that it lasted."""

WINDOW_SPAN = dt.timedelta(seconds=5)
"""And on at least so long a time: bursts of a second must not look like a state."""

PROBE_EVERY = dt.timedelta(seconds=2)
"""Between two probes of one member: a probe is a real request, and must stay a small part of the load."""

GAP = dt.timedelta(seconds=30)
"""Ticks follow each other within a second, whatever sampleEvery is, and one that waits for a silent host is over in
seconds: when two are so far apart the host slept, or this process was stopped."""

CLOCK_STEP = dt.timedelta(seconds=2)
"""Wall and steady clock may drift by this between two ticks (NTP slews); more is a step and goes on record."""

REFUSALS_PER_LIFE = 2
"""How often an executor may refuse one act that no guard held: what the guards do not see will not pass by itself."""

OUTBOUND_LEAK = 20
"""A pool keeps a few connections whose server has closed until it looks at them again; so many to one server are
more than pools usually keep idle."""

OUTBOUND_OLD = dt.timedelta(minutes=5)
"""A pool that looks at its idle connections at all has done so by then."""

OUTBOUND_SETTLED = dt.timedelta(seconds=30)
"""What has stood so long was not on its way to be closed: growth is counted in these rows only, since a busy client
passes through CLOSE_WAIT all the time."""

OUTBOUND_SHARE = 0.1
"""A tenth of the file limit for one server that has hung up is more than any pool is meant to take."""

TREND_POINTS = 120
"""A trend keeps at most so many points: enough for a robust slope, few enough to compute
one in two milliseconds."""

TREND_SPACING = dt.timedelta(seconds=1)
"""What is sampled more often is averaged: no leak is told by tenths of a second."""

TREND_HORIZON = dt.timedelta(hours=24)
"""Older points are forgotten: a day holds one round of the traffic, so that a busy morning is no leak, and a leak that
takes three days to the limit shows in it."""

TREND_SPAN = dt.timedelta(minutes=10)
"""Below this there is no slope: a service that starts fills its pools and caches, which looks like a leak."""

TREND_LEAST_POINTS = 8
"""Nor on fewer points, however far apart they are: the median of a handful of slopes is chance."""

TREND_RECENT_POINTS = 12
"""When a gauge has not grown on the whole, and yet the last dozen points have left all before them below, they alone
are the trend: a leak that began today in a process that was well would else stay hidden behind yesterday."""

TREND_AGREEMENT = 0.75
"""A gauge grows when in three of four pairs of its points the later one is higher: of noise it is in half of them, of
one single step too, and of a garbage collector that closes what was forgotten in fewer with each round."""

CAUSE_SHARE = 0.5
"""What holds half of the workers decides how the service is; with fewer held, the others would still serve."""

CAUSE_THREADS = 3
"""One or two threads that wait for a server may be a subscriber or a poller, which waits all day and is well; so few
count only when they are the main threads of workers, or when no others are left."""

CAUSE_READINGS = 3
"""A thread of a service that is stuck and that runs in three looks out of three is what it is stuck on; a machine with
too much to do leaves no time for more looks."""

CAUSE_DUMPS = 2
"""One dump cannot tell slow from stuck; what did not move between two, seconds apart, stands still."""

COMMON_WAITS = 2
"""Two members that wait for one peer have one cause, and it is not in either of them."""

CAUSE_THROTTLED_SHARE = 0.5
"""A group that was stopped in half of its periods has less processor than it wants, by far; a few are a burst."""

CAUSE_LEAST_PERIODS = 10
"""Periods are usually 0.1 s: fewer than a second of them say nothing about a state."""

CAUSE_MEMORY_STALLED_SHARE = 0.2
"""When some task waits for memory a fifth of the time, what waits is memory."""

CAUSE_MEMORY_FULL_SHARE = 0.95
"""So near to its limit a group lives by giving pages back, and a process in D is reading them in again."""

CAUSE_CPU_SHARE = 0.9
"""A worker that uses nine tenths of a processor has no time left to wait for anything else."""

SOCKET_SILENT = dt.timedelta(seconds=30)
"""Nothing came and nothing went for so long: most callers have a time-out of 30 s or less, and this one has none."""

SOCKET_AGAIN = dt.timedelta(seconds=1)
"""A thread that still stands on the same connection after so long was not merely between two answers."""
