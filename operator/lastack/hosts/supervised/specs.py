"""What a supervisor is told to run: members by name, their programs, how they are stopped and restarted.

Written by `launches` (and by people who start the supervisor by hand), read by `supervisor`.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from lastack import errors

Restart = Literal["no", "on-failure"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_FIELDS = ("name", "argv", "env", "ports", "cwd", "graceMs", "restart", "backoffMs", "restartLimit")


@dataclasses.dataclass(frozen=True, slots=True)
class MemberSpec:
    """One member. `env` is added to the supervisor's own environment.

    A stop is SIGTERM to the main process, `grace_ms` of patience, then SIGKILL to everything that it started.
    With `restart` "on-failure" a member that dies by itself with a status other than 0 is started again after
    `backoff_ms`, doubled each time up to 10 s; after `restart_limit` restarts of lives shorter than 10 s it
    stays down. `ports` is what it is expected to listen on, for people who read its state.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ports: tuple[int, ...] = ()
    cwd: str | None = None
    grace_ms: int = 5000
    restart: Restart = "no"
    backoff_ms: int = 200
    restart_limit: int = 5


def to_json(members: tuple[MemberSpec, ...]) -> str:
    """The configuration as one JSON document: {"members": [{"name", "argv", ...}]}."""
    return json.dumps({"members": [_document(member) for member in members]})


def from_json(text: str) -> tuple[MemberSpec, ...]:
    """Read a configuration. Raises UsageError with the place, what was found and what was expected."""
    try:
        document = json.loads(text)
    except ValueError as problem:
        raise errors.UsageError(f"the supervisor's configuration is not JSON: {problem}") from problem
    listed = document.get("members") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not listed:
        raise errors.UsageError('expected {"members": [...]} with at least one member')
    members = tuple(_member(f"members[{i}]", entry) for i, entry in enumerate(listed))
    names = [member.name for member in members]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise errors.UsageError(f"two members are called {twice[0]!r}; expected each name once")
    return members


def _document(member: MemberSpec) -> dict[str, Any]:
    return {
        "name": member.name,
        "argv": list(member.argv),
        "env": dict(member.env),
        "ports": list(member.ports),
        "cwd": member.cwd,
        "graceMs": member.grace_ms,
        "restart": member.restart,
        "backoffMs": member.backoff_ms,
        "restartLimit": member.restart_limit,
    }


def _member(where: str, entry: Any) -> MemberSpec:  # noqa: ANN401 - whatever stood in the JSON document
    if not isinstance(entry, dict):
        raise errors.UsageError(f"{where} is {entry!r}; expected an object with name and argv")
    unknown = sorted(set(entry) - set(_FIELDS))
    if unknown:
        raise errors.UsageError(f"{where} has a field {unknown[0]!r}; expected only {', '.join(_FIELDS)}")
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise errors.UsageError(
            f"{where}.name is {name!r}; expected a letter or digit, then up to 62 of letters, digits "
            "and . _ @ -"
        )
    argv, env, ports = entry.get("argv"), entry.get("env", {}), entry.get("ports", [])
    if not isinstance(argv, list) or not argv or not all(isinstance(part, str) for part in argv):
        raise errors.UsageError(f"{where}.argv is {argv!r}; expected a list of strings, the program first")
    if not isinstance(env, dict) or not all(isinstance(part, str) for pair in env.items() for part in pair):
        raise errors.UsageError(f"{where}.env is {env!r}; expected strings by name")
    if not isinstance(ports, list) or not all(_is_count(port, 65535) for port in ports):
        raise errors.UsageError(f"{where}.ports is {ports!r}; expected port numbers")
    cwd = entry.get("cwd")
    if cwd is not None and not isinstance(cwd, str):
        raise errors.UsageError(f"{where}.cwd is {cwd!r}; expected a folder or null")
    restart = entry.get("restart", "no")
    if restart not in ("no", "on-failure"):
        raise errors.UsageError(f"{where}.restart is {restart!r}; expected no or on-failure")
    return MemberSpec(
        name=name,
        argv=tuple(argv),
        env=env,
        ports=tuple(ports),
        cwd=cwd,
        grace_ms=_count(where, entry, "graceMs", 5000),
        restart=restart,
        backoff_ms=_count(where, entry, "backoffMs", 200),
        restart_limit=_count(where, entry, "restartLimit", 5),
    )


def _count(where: str, entry: Mapping[str, Any], field: str, default: int) -> int:
    value = entry.get(field, default)
    if not _is_count(value, 3_600_000):
        raise errors.UsageError(f"{where}.{field} is {value!r}; expected a whole number from 0 to 3600000")
    return int(value)


def _is_count(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
