"""HotSpot: what a JVM said of its threads (`Thread.print -l`), as stacks. Used by `reader`; asked by `attach`.

Read line by line and never trusted to be whole: a dump that is cut gives the threads that it still has, and says so.
The tables below are the place to teach another server's pools or another framework's packages.
"""

import collections
import dataclasses
import datetime as dt
import functools
import re
from collections.abc import Sequence

from lastack.executors.thread_dump import stacks

_THREAD = re.compile(
    r'^"(?P<name>.*)" (?:#(?P<number>\d+) )?(?:\[(?P<native>\d+)\] )?(?P<daemon>daemon )?'
    r"(?:prio=\d+ )?(?:os_prio=-?\d+ )?(?:cpu=(?P<cpu>[\d.]+)ms )?(?:elapsed=[\d.]+s )?"
    r"(?:allocated=\S+ )?(?:defined_classes=\d+ )?tid=(?P<tid>0x[0-9a-f]+) nid=(?P<nid>0x[0-9a-f]+|\d+|NA) ?"
    r"(?P<stand>.*)$"
)
_STATE = re.compile(r"^ {3}java\.lang\.Thread\.State: (?P<state>[A-Z_]+)(?: \((?P<how>[^)]*)\))?")
_FRAME = re.compile(r"^\tat (?P<function>\S+)\((?:(?P<module>[^/()]*)/)?(?P<source>[^()]*)\)")
_WAIT = re.compile(
    r"^\t- (?P<how>waiting to lock|waiting on|parking to wait for|waiting to re-lock in wait\(\))\s+"
    r"<(?P<lock>[^>]+)>(?: \(a (?P<kind>[^)]*)\))?"
)
_LOCKED = re.compile(r"^\t- locked <(?P<lock>[^>]+)>")
_OWNED = re.compile(r"^\t- <(?P<lock>0x[0-9a-f]+)> \(a ")
_FIRST_LINE = "Full thread dump "
_LAST_LINE = "JNI global ref"
# From JDK 9: the list of all Java threads stands before them.
_LISTED = re.compile(r"^_java_thread_list=\S+ length=\d+, elements=\{$")
_HIDDEN = re.compile(r"/0x[0-9a-f]+")
_POOL_NUMBER = re.compile(r"\d+")

_LIBRARY = (
    "java.",
    "javax.",
    "jakarta.",
    "jdk.",
    "sun.",
    "com.sun.",
    "kotlin.",
    "kotlinx.",
    "scala.",
    "groovy.",
    "org.apache.",
    "org.eclipse.jetty.",
    "org.springframework.",
    "org.jboss.",
    "org.wildfly.",
    "org.xnio.",
    "io.undertow.",
    "io.netty.",
    "io.quarkus.",
    "io.vertx.",
    "io.micronaut.",
    "io.grpc.",
    "reactor.",
    "org.hibernate.",
    "com.zaxxer.hikari.",
    "com.mysql.",
    "org.postgresql.",
    "org.mariadb.",
    "oracle.jdbc.",
    "com.microsoft.sqlserver.",
    "redis.clients.",
    "io.lettuce.",
    "com.fasterxml.",
    "com.google.common.",
    "okhttp3.",
    "okio.",
    "feign.",
    "org.glassfish.",
    "org.slf4j.",
    "ch.qos.logback.",
    "net.sf.cglib.",
    "org.aopalliance.",
)
"""Packages that are not the application's: the JDK, servers, frameworks, drivers, clients."""

_FRAMES_KEPT = 4096

# Innermost frames of the JDK between a waiting loop and the kernel.
_WAITING = (
    "jdk.internal.misc.Unsafe.park",
    "sun.misc.Unsafe.park",
    "java.util.concurrent.locks.",
    "java.util.concurrent.ForkJoinPool.",
    "java.util.concurrent.LinkedBlockingQueue.",
    "java.util.concurrent.ArrayBlockingQueue.",
    "java.util.concurrent.LinkedTransferQueue.",
    "java.util.concurrent.LinkedBlockingDeque.",
    "java.util.concurrent.PriorityBlockingQueue.",
    "java.util.concurrent.DelayQueue.",
    "java.util.concurrent.SynchronousQueue",
    "java.util.concurrent.ScheduledThreadPoolExecutor$DelayedWorkQueue.",
    "org.apache.tomcat.util.threads.TaskQueue.",
    "org.eclipse.jetty.util.BlockingArrayQueue.",
    "org.jboss.threads.EnhancedQueueExecutor",
    "java.lang.Object.wait",
    "java.lang.VirtualThread",
)
# Loops that wait for the next piece of work when only waiting frames are inside of them.
_LOOPS = (
    "java.util.concurrent.ThreadPoolExecutor.getTask",
    "java.util.concurrent.ForkJoinPool.awaitWork",
    "java.util.concurrent.ForkJoinPool.runWorker",
    "org.apache.tomcat.util.threads.ThreadPoolExecutor.getTask",
    "org.eclipse.jetty.util.thread.QueuedThreadPool",
    "org.jboss.threads.EnhancedQueueExecutor$ThreadBody.run",
    "sun.nio.ch.EPoll.wait",
    "sun.nio.ch.EPollArrayWrapper.epollWait",
    "io.netty.channel.epoll.Native.epollWait",
    "sun.nio.ch.Net.accept",
    "sun.nio.ch.ServerSocketChannelImpl.accept0",
    "java.net.PlainSocketImpl.socketAccept",
    "sun.nio.ch.NioSocketImpl.accept",
    "java.util.TimerThread.mainLoop",
    "java.lang.ref.ReferenceQueue.remove",
    "java.lang.ref.Reference.waitForReferencePendingList",
    "org.apache.catalina.core.StandardServer.await",
)


@dataclasses.dataclass(slots=True)
class _Draft:
    """One thread while its lines are read."""

    head: re.Match[str]
    frames: list[stacks.Frame] = dataclasses.field(default_factory=list)
    functions: list[str] = dataclasses.field(default_factory=list)
    state: str | None = None
    waits_for: stacks.Lock | None = None
    locked: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class _Reading:
    """What of a dump was understood: threads, and what tells whether they are all."""

    drafts: list[_Draft] = dataclasses.field(default_factory=list)
    begins: int = 0
    ends: int = 0
    listed: set[str] = dataclasses.field(default_factory=set)
    seen: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    strange: int = 0

    @property
    def lacks(self) -> str | None:
        """Why it may not be the whole dump, or None."""
        lost, twice = self.listed - self.seen.keys(), sum(many > 1 for many in self.seen.values())
        problems = (
            (
                self.begins != 1,
                "its first line is missing" if not self.begins else "it begins more than once",
            ),
            (self.ends != 1, "its end is missing" if not self.ends else "it ends more than once"),
            (bool(lost), f"{len(lost)} of {len(self.listed)} threads that it lists are missing"),
            (twice > 0, f"{twice} of its threads stand in it twice"),
            (self.strange > 0, f"{self.strange} of its threads are not understood"),
        )
        return next((words for holds, words in problems if holds), None)


def read(raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
    """The threads of a dump; threads of the JVM itself (compilers, collectors), which have no stack, are left out."""
    reading = _reading(raw.decode("utf-8", errors="replace"))
    threads = tuple(_thread(pid, draft) for draft in reading.drafts)
    return stacks.ProcessDump(
        pid, parent, command, at, threads, raw, "a Java virtual machine", "txt", partial=reading.lacks
    )


def _reading(text: str) -> _Reading:
    found = _Reading()
    draft: _Draft | None = None
    listing = False
    for line in text.split("\n"):  # not at what else ends a line: names may hold it
        if line.startswith('"'):
            draft = _begun(line, found)
        elif line.startswith("Found ") and "deadlock" in line:
            break  # what follows repeats stacks of threads that were listed
        elif listing:
            listing = line != "}"
            found.listed.update(line.replace(",", " ").split() if listing else ())
        elif draft is not None and line.startswith(("\t", " ")):
            _take(draft, line)
        else:
            listing = _LISTED.match(line) is not None
            found.begins += line.startswith(_FIRST_LINE)
            found.ends += line.startswith(_LAST_LINE)
    found.drafts = [each for each in found.drafts if each.frames]
    return found


def _begun(line: str, found: _Reading) -> _Draft | None:
    """The thread that begins with this line; None for one whose head is cut or of another kind."""
    head = _THREAD.match(line)
    if head is None:
        found.strange += 1
        return None
    found.seen[head["tid"]] += 1
    found.drafts.append(_Draft(head))
    return found.drafts[-1]


def _take(draft: _Draft, line: str) -> None:
    """One line of a thread."""
    if frame := _FRAME.match(line):
        draft.functions.append(frame["function"])
        draft.frames.append(_frame(frame["function"], frame["source"]))
    elif state := _STATE.match(line):
        draft.state = state["state"]
    elif (wait := _WAIT.match(line)) and draft.waits_for is None:
        draft.waits_for = stacks.Lock(wait["lock"], stacks.plain(wait["kind"] or "?"))
    elif locked := _LOCKED.match(line) or _OWNED.match(line):
        draft.locked.append(locked["lock"])


@functools.lru_cache(maxsize=_FRAMES_KEPT)
def _frame(written: str, source: str) -> stacks.Frame:
    """One frame; thousands of threads share a few hundred of them."""
    # Hidden classes (lambdas) carry an address; a named class loader stands before the class.
    function = _HIDDEN.sub("", written).rpartition("/")[2]
    file, _, line = source.partition(":")
    parts = function.split(".")
    application = not function.startswith(_LIBRARY) and "$$Lambda" not in function
    return stacks.Frame(
        function=stacks.plain(".".join(parts[-2:]) if application else function),
        file=stacks.plain(file),
        line=int(line) if line.isdecimal() else 0,
        application=application,
    )


def _thread(pid: int, draft: _Draft) -> stacks.ThreadStack:
    head = draft.head
    name = stacks.plain(head["name"])
    state = draft.state or ""
    waits = _waits_for_work(draft.functions)
    # A lock that the thread holds itself is one whose wait() it is in: it waits to be told, and has let go of it.
    told_at = draft.waits_for.id if draft.waits_for and draft.waits_for.id in draft.locked else None
    return stacks.ThreadStack(
        pid=pid,
        thread=_native(head),
        name=name,
        role=_role(name),
        active=state == "RUNNABLE" and not waits,
        waits_for_work=waits,
        frames=tuple(draft.frames),
        state=state,
        waits_for=None if told_at else draft.waits_for,
        holds=tuple(lock for lock in dict.fromkeys(draft.locked) if lock != told_at),
    )


def _native(head: re.Match[str]) -> int:
    """The thread id of the kernel, as the JVM's own pid namespace has it; 0 for a virtual thread."""
    nid = head["nid"]
    return 0 if nid == "NA" else int(nid, 16) if nid.startswith("0x") else int(nid)


def _role(name: str) -> str:
    """Threads of one pool differ in their numbers only."""
    return _POOL_NUMBER.sub("#", name)


def _waits_for_work(functions: Sequence[str]) -> bool:
    for function in functions:
        if function.rpartition("/")[2].startswith(_LOOPS):
            return True
        if not function.rpartition("/")[2].startswith(_WAITING):
            return False
    return False
