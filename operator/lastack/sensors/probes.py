"""Ask a member a real question over HTTP: ports.Prober. Called by the loop's workers and by executors.

A TCP connect proves nothing while the accept queue has room, so the answer counts, and its status. The socket is
made in the member's own network namespace; a probe that is given up ends in a reset, so that it leaves no
CLOSE_WAIT row behind that would be counted as a client's.
"""

import http.client
import socket
import struct
import time
from collections.abc import Sequence

from lastack import errors, quantities
from lastack.engine import censuses, samples
from lastack.kernel import netns
from lastack.policy import valid

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_MOST_BODY_BYTES = 65536
_LOOPBACK = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class HttpProber:
    """Sends one GET per listener and waits for its answer."""

    def ask(
        self,
        member: censuses.Member,
        probe: valid.HttpProbe,
        listeners: Sequence[samples.ListenerAddress],
    ) -> tuple[bool, str]:
        """(every listener passed, what each answered in how long); at most probe.timeout per listener."""
        if not listeners:
            return False, "nothing to ask: the member has no listener"
        answers = [(address, *_ask(member, probe, address)) for address in listeners]
        if len(answers) == 1:
            _, passed, text = answers[0]
            return passed, text
        return all(passed for _, passed, _ in answers), "; ".join(
            f"{address}: {text}" for address, _, text in answers
        )


class _BoundedSocket(socket.socket):
    """A socket whose time-out bounds the whole exchange: a server that drips bytes does not prolong it."""

    deadline = 0.0

    def recv_into(self, *arguments: object, **options: object) -> int:
        """Receive within what is left of the time."""
        self.settimeout(_left(self.deadline))
        return super().recv_into(*arguments, **options)  # type: ignore[arg-type] # the buffer is http.client's


def _ask(
    member: censuses.Member, probe: valid.HttpProbe, address: samples.ListenerAddress
) -> tuple[bool, str]:
    begun = time.monotonic()
    try:
        status = _exchange(member, probe, address, begun + probe.timeout.total_seconds())
    except TimeoutError:
        return False, f"no answer within {quantities.short(probe.timeout)}"
    except ConnectionRefusedError:
        return False, "connection refused"
    except errors.WorldError as problem:
        return False, problem.message
    except http.client.HTTPException as problem:
        return False, f"not an HTTP answer: {type(problem).__name__}"
    except OSError as problem:
        return False, f"connection failed: {problem.strerror or problem}"
    passed = any(low <= status <= high for low, high in probe.expect)
    expected = "" if passed else ", expected " + " or ".join(_range_text(*each) for each in probe.expect)
    return passed, f"{status} in {(time.monotonic() - begun) * 1000:.0f} ms{expected}"


def _exchange(
    member: censuses.Member, probe: valid.HttpProbe, address: samples.ListenerAddress, deadline: float
) -> int:
    """The status of one GET, when its answer was read (at most 64 KiB of it)."""
    host = _LOOPBACK.get(address.address, address.address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    connection = http.client.HTTPConnection(host, address.port)
    with _open(member, family) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        own.deadline = deadline
        own.settimeout(_left(deadline))
        own.connect((host, address.port))
        connection.sock = own
        own.settimeout(_left(deadline))
        connection.request("GET", probe.path, headers={"Connection": "close", "User-Agent": "lastack-probe"})
        with connection.getresponse() as response:
            response.read(_MOST_BODY_BYTES)
            return response.status


def _open(member: censuses.Member, family: socket.AddressFamily) -> _BoundedSocket:
    """A socket in the namespace of the member; it stays there wherever it is used."""

    def make() -> _BoundedSocket:
        return _BoundedSocket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)

    path = None if member.main_pid is None else netns.path_of(member.main_pid)
    if path is None or netns.identify(path) == netns.own():
        return make()
    return netns.call_in(path, make)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _range_text(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"
