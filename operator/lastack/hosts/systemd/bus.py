"""A connection to the system bus that comes back by itself; the only file that knows jeepney. Used by units.

Reading may be repeated, acting may not: `read` is tried again on a new connection, `act` never once its message
may have left. A connection that was silent for too long is given up, because a late answer cannot be trusted to
belong to the question that is asked next.
"""

import collections
import contextlib
import dataclasses
import datetime as dt
import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jeepney
from jeepney import auth
from jeepney import bus as addresses
from jeepney.io import blocking

from lastack import errors, retrying

STANDARD_ADDRESS = "unix:path=/run/dbus/system_bus_socket"
SYSTEMD = "org.freedesktop.systemd1"
SIGNALS_KEPT = 1000
"""Signals that nobody took are dropped beyond this number, the oldest first: they are hints, state is read anew."""


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One method call to systemd: where, what, and its arguments with their D-Bus signature."""

    path: str
    interface: str
    method: str
    signature: str = ""
    arguments: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ErrorReply:
    """systemd or the bus said no: the D-Bus name of the error, and its sentence."""

    name: str
    text: str


Reply = tuple[Any, ...] | ErrorReply
"""The values of an answer as D-Bus has them, to be given types by units."""


@dataclasses.dataclass(frozen=True, slots=True)
class NoAnswer:
    """A call left and no answer came: it may have been done or not, and only the world can tell."""

    why: str


class SystemBus:
    """One connection to the system bus, made when first needed; safe to use from several threads.

    `within` bounds each exchange. `signal` is a match rule without sender, because signals carry the unique name
    of their sender; that one is compared here with systemd's, so that nobody else can speak for it.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        signal: jeepney.MatchRule | None = None,
        within: dt.timedelta = dt.timedelta(seconds=1),
        backoff: retrying.Backoff | None = None,
    ) -> None:
        self.address = address or os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or STANDARD_ADDRESS
        self._signal = signal
        self._within_seconds = within.total_seconds()
        self._backoff = backoff
        self._lock = threading.RLock()
        self._connection: blocking.DBusConnection | None = None
        self._systemd_name = ""
        self._signals: collections.deque[tuple[Any, ...]] = collections.deque(maxlen=SIGNALS_KEPT)

    def read(self, calls: Sequence[Call]) -> list[Reply]:
        """Ask all at once and return the answers in order; repeated when the bus went away meanwhile.

        Raises errors.NotPermitted or errors.NotReachable when the bus cannot be asked.
        """

        def ask() -> list[Reply]:
            with self._lock, self._lost_when_broken() as connection:
                serials = [_send(connection, call) for call in calls]
                return self._answers(connection, serials)

        return retrying.call(ask, backoff=self._backoff)

    def act(self, call: Call) -> Reply | NoAnswer:
        """Ask for a change, once.

        Only the connecting is repeated, and a message that could not be sent whole: that one was certainly not
        accepted. Raises errors.NotPermitted or errors.NotReachable when nothing was asked.
        """

        def ask() -> Reply | NoAnswer:
            with self._lock:
                with self._lost_when_broken() as connection:
                    serial = _send(connection, call)
                try:
                    with self._lost_when_broken() as connection:
                        return self._answers(connection, [serial])[0]
                except errors.NotReachable as lost:
                    return NoAnswer(lost.message)

        return retrying.call(ask, backoff=self._backoff)

    def signals(self) -> list[tuple[Any, ...]]:
        """The bodies of the signals of systemd that came since the last call, oldest first; never waits."""
        with self._lock:
            if self._connection is not None:
                with contextlib.suppress(errors.NotReachable), self._lost_when_broken() as connection:
                    self._take_what_came(connection)
            bodies = list(self._signals)
            self._signals.clear()
        return bodies

    def close(self) -> None:
        """Give the connection back; the next call makes a new one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def _lost_when_broken(self) -> Iterator[blocking.DBusConnection]:
        """The connection, made if need be; when it breaks it is dropped, and an error says why.

        errors.Transient when it broke; errors.NotReachable when nothing came in time, which asking again at once
        would not mend; errors.NotPermitted.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
            yield self._connection
        except TimeoutError as error:
            self.close()
            raise errors.NotReachable(
                f"systemd did not answer on {self.address} within {self._within_seconds:g} s"
            ) from error
        except PermissionError as error:
            self.close()
            raise errors.NotPermitted(
                f"the system bus {self.address} may not be used: {error}", fix="run as root"
            ) from error
        except (OSError, jeepney.DBusErrorResponse, auth.AuthenticationError) as error:
            self.close()
            raise errors.Transient(f"the system bus {self.address} cannot be reached: {error}") from error

    def _connect(self) -> blocking.DBusConnection:
        """A new connection that hears the signal before the first call is sent on it."""
        socket = blocking.prep_socket(addresses.get_bus(self.address), timeout=self._within_seconds)
        try:
            connection = blocking.DBusConnection(socket)
            owner = _ask_the_bus(connection, jeepney.message_bus.GetNameOwner(SYSTEMD), self._within_seconds)
            self._systemd_name = owner.body[0]
            if self._signal is not None:
                _ask_the_bus(connection, jeepney.message_bus.AddMatch(self._signal), self._within_seconds)
        except (OSError, jeepney.DBusErrorResponse):
            socket.close()
            raise
        return connection

    def _answers(self, connection: blocking.DBusConnection, serials: Sequence[int]) -> list[Reply]:
        """The answers to the calls with these serial numbers, in that order; signals in between are kept."""
        answers: dict[int, Reply] = {}
        deadline = time.monotonic() + self._within_seconds
        while len(answers) < len(serials):
            message = connection.receive(timeout=max(deadline - time.monotonic(), 0.0))
            answered = message.header.fields.get(jeepney.HeaderFields.reply_serial)
            if answered in serials:
                answers[answered] = _reply(message)
            else:
                self._keep(message)
        return [answers[serial] for serial in serials]

    def _take_what_came(self, connection: blocking.DBusConnection) -> None:
        """Read what is in the socket already."""
        while True:
            try:
                message = connection.receive(timeout=0)
            except TimeoutError:
                return
            self._keep(message)

    def _keep(self, message: jeepney.Message) -> None:
        """Keep the signal that was asked for, when systemd itself sent it."""
        sender = message.header.fields.get(jeepney.HeaderFields.sender)
        if self._signal is not None and self._signal.matches(message) and sender == self._systemd_name:
            self._signals.append(tuple(message.body))


def _send(connection: blocking.DBusConnection, call: Call) -> int:
    """Send one call to systemd and return its serial number."""
    serial = next(connection.outgoing_serial)
    address = jeepney.DBusAddress(call.path, bus_name=SYSTEMD, interface=call.interface)
    message = jeepney.new_method_call(address, call.method, call.signature or None, call.arguments)
    connection.send(message, serial=serial)
    return int(serial)


def _reply(message: jeepney.Message) -> Reply:
    """The values of an answer, or the error that it is."""
    if message.header.message_type is jeepney.MessageType.error:
        name = message.header.fields.get(jeepney.HeaderFields.error_name, "unnamed error")
        return ErrorReply(str(name), " ".join(str(part) for part in message.body))
    return tuple(message.body)


def _ask_the_bus(
    connection: blocking.DBusConnection, question: jeepney.Message, within_seconds: float
) -> jeepney.Message:
    """Ask the bus itself; an error of it is a connection that cannot be used."""
    answer = connection.send_and_get_reply(question, timeout=within_seconds)
    if answer.header.message_type is jeepney.MessageType.error:
        raise ConnectionError(" ".join(str(part) for part in answer.body))
    return answer
