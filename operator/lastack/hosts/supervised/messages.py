"""The words between a supervisor and those who ask it: JSON lines over a unix socket, one answer per request.

    {"id": 1, "ask": "members"}
    {"id": 2, "ask": "replace", "member": "b", "expected": "4711@12.34", "step": "..."}
    {"id": 3, "ask": "progress", "member": "b", "expected": "4711@12.34"}

    {"id": 1, "answer": {...}}     or     {"id": 1, "error": "a sentence"}

`ask` is the asking half (census, replacements, launches); `read_request` and `answer` serve `supervisor`.
"""

import contextlib
import dataclasses
import json
import pathlib
import socket
from typing import Any

from lastack import errors
from lastack.kernel import unix_sockets

LONGEST_LINE = 65536
_ANSWER_SECONDS = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request as it was read; `fields` holds member, expected and step where the word needs them."""

    number: int | None
    word: str
    fields: dict[str, str]


_NEEDED = {"members": (), "replace": ("member", "expected", "step"), "progress": ("member", "expected")}


def read_request(line: bytes) -> Request:
    """Read one line. Raises UsageError with what was expected."""
    try:
        document = json.loads(line)
    except ValueError as problem:
        raise errors.UsageError(f"not a JSON line: {problem}") from problem
    word = document.get("ask") if isinstance(document, dict) else None
    if not isinstance(word, str) or word not in _NEEDED:
        raise errors.UsageError(f"asked for {word!r}; expected one of {', '.join(sorted(_NEEDED))}")
    fields = {name: document.get(name) for name in _NEEDED[word]}
    absent = [name for name, value in fields.items() if not isinstance(value, str)]
    if absent:
        raise errors.UsageError(f"{word} needs {absent[0]}, a string")
    number = document.get("id")
    return Request(number if isinstance(number, int) else None, word, {k: str(v) for k, v in fields.items()})


def answer(number: int | None, content: dict[str, Any] | str) -> bytes:
    """One line: the answer, or (a string) why there is none."""
    kind = "error" if isinstance(content, str) else "answer"
    return json.dumps({"id": number, kind: content}).encode() + b"\n"


def ask(path: pathlib.Path, word: str, **fields: str) -> dict[str, Any]:
    """Ask the supervisor at `path` and return its answer.

    Raises NotReachable (nobody there, or it answers nonsense), Transient (no answer in time), NotPermitted.
    """
    request = json.dumps({"id": 1, "ask": word, **fields}).encode() + b"\n"
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            with unix_sockets.short_name(path) as name:
                connection.connect(name)
            connection.sendall(request)
            line = _read_line(connection)
    except TimeoutError as problem:
        raise errors.Transient(
            f"the supervisor at {path} did not answer within {_ANSWER_SECONDS:g} s"
        ) from problem
    except PermissionError as problem:
        raise errors.NotPermitted(
            f"not permitted to use the supervisor's socket {path}",
            fix="run as root or as the user who started it",
        ) from problem
    except OSError as problem:
        raise errors.NotReachable(
            f"no supervisor answers at {path}: {problem.strerror or problem}",
            fix="it has ended, or the path is wrong: look for its process and its socket",
        ) from problem
    return _content(path, line)


def _read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < 64 * LONGEST_LINE:
        part = connection.recv(LONGEST_LINE)
        if not part:
            break
        line += part
    return line


def _content(path: pathlib.Path, line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
        if "error" in document:
            raise errors.NotReachable(f"the supervisor at {path} does not answer: {document['error']}")
        content = document["answer"]
    except (ValueError, TypeError, KeyError) as problem:
        raise errors.NotReachable(
            f"what answers at {path} is not a supervisor: {line[:80]!r}", fix="check the path of its socket"
        ) from problem
    if not isinstance(content, dict):
        raise errors.NotReachable(f"what answers at {path} is not a supervisor: {line[:80]!r}")
    return content
