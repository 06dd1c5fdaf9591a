"""What a group of threads that stand still waits for: a lock, a peer, a connection pool, the processor. Pure.

Used by `groups`, for the sentence and for the cause. Two sources are put together: the frames (and locks) that the
runtime tells, and the system call and socket that the kernel tells. The tables are the place to teach another pool.
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from lastack.executors.thread_dump import stacks, waits
from lastack.policy import vocabulary

_POOLS = (
    "com.zaxxer.hikari.pool.HikariPool.getConnection",
    "org.apache.commons.dbcp2.PoolingDataSource.getConnection",
    "org.apache.commons.dbcp2.BasicDataSource.getConnection",
    "org.apache.commons.pool2.impl.GenericObjectPool.borrowObject",
    "org.apache.tomcat.jdbc.pool.ConnectionPool.borrowConnection",
    "com.mchange.v2.resourcepool.BasicResourcePool.checkoutResource",
    "org.apache.http.pool.",
    "org.apache.http.impl.conn.PoolingHttpClientConnectionManager",
    "org.apache.hc.core5.pool.",
    "oracle.ucp.",
    "io.agroal.pool.ConnectionPool.acquire",
    "redis.clients.jedis.util.Pool.getResource",
)
"""Where a thread waits for a connection that another one holds: innermost frames of borrowing, Java."""
_POOL_PLACES = (
    ("sqlalchemy/pool/", "_do_get"),
    ("sqlalchemy/util/queue.py", "get"),
    ("psycopg_pool/", "getconn"),
    ("urllib3/connectionpool.py", "_get_conn"),
    ("redis/connection.py", "get_connection"),
)
"""The same for Python: end of the file's folder or name, function."""
_PROGRAM_PLACES = (
    ("node:internal/child_process", "spawnSync"),
    ("node:child_process", "spawnSync"),
    ("node:child_process", "execFileSync"),
    ("node:child_process", "execSync"),
    ("subprocess.py", "_wait"),
    ("subprocess.py", "_try_wait"),
    ("subprocess.py", "_communicate"),
    ("subprocess.py", "communicate"),
)
"""Where JavaScript and Python wait for a program that they run; JavaScript sleeps in a loop of its own meanwhile."""
_FILE_PLACE = "node:fs"
"""Where JavaScript waits for what is no socket, in a call that blocks."""
_LOCK_STATES = frozenset(
    {"BLOCKED", "sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock", "semacquire"}
)
"""What runtimes call a thread that waits for a lock: Java, Go."""
_LOCK_FRAMES = (
    "java.util.concurrent.locks.ReentrantLock",
    "java.util.concurrent.locks.ReentrantReadWriteLock",
    "java.util.concurrent.locks.StampedLock",
    "java.util.concurrent.Semaphore",
)
_SLEEPS = frozenset({"nanosleep", "clock_nanosleep"})
_VERBS = {"connect": "connecting to", **dict.fromkeys(waits.WRITES, "writing to")}
_Owners = Mapping[tuple[int, str], str]
"""(pid, id of a lock) -> the name of the thread that holds it."""
_PYTHON_LOCK_PLACES = (("threading.py", "acquire"), ("threading.py", "__enter__"))


@dataclasses.dataclass(frozen=True, slots=True)
class Meaning:
    """Why they stand still: `words` go into a sentence after the place ("reading from 10.0.0.9:7000")."""

    cause: vocabulary.CauseKind
    words: str | None = None
    peer: str | None = None


UNKNOWN = Meaning(vocabulary.CauseKind.UNKNOWN)
"""Nothing is known of what they wait for."""


def of(threads: Sequence[stacks.ThreadStack], everybody: Sequence[stacks.ThreadStack]) -> Meaning:
    """The meaning that most of the threads share; `everybody` is all of the round, to find who holds a lock."""
    owners = {(each.pid, lock): each.name for each in everybody for lock in each.holds}
    counted = collections.Counter(_of_one(thread, owners) for thread in threads)
    if not counted:
        return UNKNOWN
    meaning, amount = counted.most_common(1)[0]
    return meaning if 2 * amount > len(threads) else UNKNOWN


def waits_for_program(thread: stacks.ThreadStack) -> bool:
    """Whether the application has called a program, and it stands where the end of that is awaited."""
    for frame in thread.frames:
        if frame.application:
            return False
        if _is_place(frame, _PROGRAM_PLACES):
            return True
    return False


def _of_one(thread: stacks.ThreadStack, owners: _Owners) -> Meaning:
    """The first that fits: what the runtime knows is more than what the kernel sees."""
    if _in_pool(thread):
        return Meaning(vocabulary.CauseKind.POOL, "waiting for a connection of a pool")
    if _at_lock(thread):
        return Meaning(vocabulary.CauseKind.LOCK, _lock_words(thread, owners))
    if thread.wait is None:
        return UNKNOWN
    found = _of_wait(thread.wait, told=thread.state is not None)
    return _of_frames(thread, thread.wait) if found == UNKNOWN else found


def _of_wait(wait: stacks.Wait, *, told: bool) -> Meaning:
    """What the kernel says; `told`: the runtime has words of its own for locks, and did not say them."""
    if wait.running:
        return Meaning(vocabulary.CauseKind.CPU, "running")
    if wait.program is not None and wait.peer is not None:
        verb = _VERBS.get(wait.call or "", "reading from")
        words = f"waiting for a program that it runs ({wait.program}), which is {verb} {wait.peer}"
        return Meaning(vocabulary.CauseKind.DOWNSTREAM, words, wait.peer)
    if wait.side == "outbound" and wait.peer is None:
        return Meaning(vocabulary.CauseKind.DOWNSTREAM, "waiting for an answer of another service")
    if wait.peer is not None and wait.side != "listening":
        verb = _VERBS.get(wait.call or "", "reading from")
        if wait.side == "outbound":
            return Meaning(vocabulary.CauseKind.DOWNSTREAM, f"{verb} {wait.peer}", wait.peer)
        return Meaning(vocabulary.CauseKind.CLIENT, f"{verb} a client")
    if wait.call in _SLEEPS:
        return Meaning(vocabulary.CauseKind.UNKNOWN, "sleeping")
    # What a Python program calls in C has no frame: a lock is seen in the kernel only.
    if wait.call == "futex" and not told:
        return Meaning(vocabulary.CauseKind.LOCK, "waiting for a lock")
    return UNKNOWN


def _of_frames(thread: stacks.ThreadStack, wait: stacks.Wait) -> Meaning:
    """What only the frames around a call tell of it."""
    if waits_for_program(thread):
        return Meaning(vocabulary.CauseKind.UNKNOWN, "waiting for a program that it runs")
    for frame in thread.frames:
        if frame.application:
            break
        if frame.file == _FILE_PLACE and wait.call in waits.READS | waits.WRITES:
            verb = _VERBS.get(wait.call or "", "reading from")
            return Meaning(vocabulary.CauseKind.UNKNOWN, f"{verb} a pipe or a file")
    return UNKNOWN


def _in_pool(thread: stacks.ThreadStack) -> bool:
    for frame in thread.frames:
        if frame.application:
            return False
        if frame.function.startswith(_POOLS) or _is_place(frame, _POOL_PLACES):
            return True
    return False


def _at_lock(thread: stacks.ThreadStack) -> bool:
    if thread.state in _LOCK_STATES:
        return True
    for frame in thread.frames:
        if frame.application:
            break
        if frame.function.startswith(_LOCK_FRAMES) or _is_place(frame, _PYTHON_LOCK_PLACES):
            return True
    return False


def _lock_words(thread: stacks.ThreadStack, owners: _Owners) -> str:
    wanted = thread.waits_for
    if wanted is None:
        return "waiting for a lock"
    owner = owners.get((thread.pid, wanted.id))
    kind = wanted.kind if "sync." in wanted.kind else wanted.kind.rpartition(".")[2].partition("$")[0]
    held = f" that {owner} holds" if owner is not None else ""
    return f"waiting for a lock ({kind}){held}"


def _is_place(frame: stacks.Frame, table: Sequence[tuple[str, str]]) -> bool:
    function = frame.function.rpartition(".")[2]
    return any(function == name and place in frame.file for place, name in table)
