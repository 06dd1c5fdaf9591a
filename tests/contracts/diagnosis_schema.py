"""The DiagnosisList as the contract describes it, written from that page alone: what scripts may rely on.

`problems` reads a document and says everything that a script would trip over.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

CODES = {
    "accept-stall",
    "backlog-too-small",
    "overload",
    "handler-stall",
    "fd-leak",
    "fd-exhaustion",
    "syn-pressure",
    "outbound-leak",
    "half-close-in-use",
    "not-listening",
    "healthy",
    "unknown",
}
NO_SEVERITY = {"half-close-in-use", "healthy", "unknown"}
SIGNALS = {
    "closeWait.total",
    "closeWait.queued",
    "closeWait.unread",
    "closeWait.held",
    "closeWait.outbound",
    "closeWait.oldest",
    "acceptQueue.depth",
    "acceptQueue.limit",
    "acceptQueue.headAge",
    "acceptProgress",
    "listen.dropRate",
    "synQueue.depth",
    "established",
    "openFiles.count",
    "openFiles.limit",
}
CAUSES = {"lock", "downstream", "pool", "cpu", "throttled", "memory", "stopped", "client", "unknown"}


def _is(*kinds: type) -> Check:
    return lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _one_of(*words: str) -> Check:
    return lambda value: value in words


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _all(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(each) for each in value)


def _matches(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


TEXT, COUNT, NUMBER = _is(str), _is(int), _is(int, float)
CONFIDENCE = _one_of("low", "medium", "high")
DOCUMENT: Mapping[str, Check] = {
    "apiVersion": _one_of("lastack.dev/v1alpha1"),
    "kind": _one_of("DiagnosisList"),
    "observedAt": _matches(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
    "window": _matches(r"(\d+(ms|s|m|h|d))+"),
    "complete": _is(bool),
    "missing": _all(_is(dict)),
    "items": _all(_is(dict)),
}
MISSING: Mapping[str, Check] = {
    "signal": TEXT,
    "member": _or_null(_matches(r"(pid/\d+|unit/.+|listener/.+:\d+)")),
    "why": TEXT,
    "fix": _or_null(TEXT),
}
ITEM: Mapping[str, Check] = {
    "member": _is(dict),
    "listener": _or_null(_is(dict)),
    "code": _one_of(*CODES),
    "severity": _one_of("none", "warning", "critical"),
    "confidence": CONFIDENCE,
    "cause": _or_null(_is(dict)),
    "summary": TEXT,
    "evidence": _all(_is(dict)),
    "signals": _is(dict),
    "peers": _all(_is(dict)),
    "peersOmitted": COUNT,
    "canHelp": _all(_is(dict)),
    "cannotHelp": _all(_is(dict)),
}
MEMBER: Mapping[str, Check] = {
    "pid": _or_null(COUNT),
    "pids": _all(COUNT),
    "command": _or_null(TEXT),
    "unit": _or_null(TEXT),
    "container": _or_null(TEXT),
    "pod": _or_null(TEXT),
    "netns": _or_null(COUNT),
}
LISTENER: Mapping[str, Check] = {
    "address": _or_null(_matches(r"[^\[\]]+")),
    "port": COUNT,
    "family": _or_null(_one_of("inet", "inet6")),
}
EVIDENCE: Mapping[str, Check] = {
    "signal": TEXT,
    "value": _or_null(NUMBER),
    "limit": _or_null(NUMBER),
    "text": TEXT,
}
CAUSE: Mapping[str, Check] = {
    "kind": _one_of(*CAUSES),
    "peer": _or_null(TEXT),
    "frame": _or_null(TEXT),
    "stuck": _or_null(COUNT),
    "of": _or_null(COUNT),
    "source": _or_null(TEXT),
    "confidence": CONFIDENCE,
}
PEER: Mapping[str, Check] = {"address": TEXT, "closeWait": COUNT}
REMEDY: Mapping[str, Check] = {"remedy": TEXT, "why": TEXT}


def problems(document: Mapping[str, Any], exit_code: int) -> list[str]:
    """Everything in which a document and its exit code differ from the contract."""
    found = _fields("document", document, DOCUMENT)
    if found:
        return found
    items, missing = document["items"], document["missing"]
    for row in missing:
        found += _fields("missing", row, MISSING)
    keys = [(row["signal"], row["member"]) for row in missing]
    found += [f"two missing rows for {key}" for key in set(keys) if keys.count(key) > 1]
    for item in items:
        found += _of_item(item)
        found += _of_nulls(item, set(keys))
    counted = [row for row in missing if not row.get("inherent", False)]
    unknown = any(item["code"] == "unknown" for item in items)
    if document["complete"] is not (not counted and not unknown):
        found.append(f"complete is {document['complete']} with {len(counted)} missing rows")
    if exit_code != _exit_code(items, missing):
        found.append(f"exit code {exit_code}, expected {_exit_code(items, missing)}")
    return found


def _exit_code(items: list[dict[str, Any]], missing: list[dict[str, Any]]) -> int:
    if any(item["severity"] != "none" for item in items):
        return 1
    if items:
        return 3 if all(item["code"] == "unknown" for item in items) else 0
    return 3 if missing else 0


def _of_item(item: dict[str, Any]) -> list[str]:
    found = _fields("item", item, ITEM) + _fields("member", item["member"], MEMBER)
    if item["listener"] is not None:
        found += _fields("listener", item["listener"], LISTENER)
    if item["cause"] is not None:
        found += _fields("cause", item["cause"], CAUSE)
    for name, shape in (("evidence", EVIDENCE), ("peers", PEER), ("canHelp", REMEDY), ("cannotHelp", REMEDY)):
        for row in item[name]:
            found += _fields(name, row, shape)
    if (item["code"] in NO_SEVERITY) is not (item["severity"] == "none"):
        found.append(f"{item['code']} with severity {item['severity']}")
    if item["code"] == "not-listening":
        nobody: tuple[None, list[int], dict[str, float], None] = (None, [], {}, None)
        said = (item["member"]["pid"], item["member"]["pids"], item["signals"], item["listener"]["address"])
        return found if said == nobody else [*found, f"not-listening says {said}"]
    absent = SIGNALS - item["signals"].keys()
    if item["listener"] is not None and absent:
        found.append(f"signals without {sorted(absent)}")
    found += [
        f"{name} is {value!r}" for name, value in item["signals"].items() if not _or_null(NUMBER)(value)
    ]
    if len(item["peers"]) > 10:
        found.append(f"{len(item['peers'])} peers")
    return found


def _of_nulls(item: dict[str, Any], keys: set[tuple[str, str | None]]) -> list[str]:
    """An unknown value is null with a reason in `missing`."""
    pid, listener = item["member"]["pid"], item["listener"]
    member = f"pid/{pid}" if pid is not None else f"listener/{listener['address']}:{listener['port']}"
    return [
        f"{name} of {member} is null without a reason"
        for name, value in item["signals"].items()
        if value is None and (name, member) not in keys
    ]


def _fields(where: str, value: Mapping[str, Any], shape: Mapping[str, Check]) -> list[str]:
    absent = [f"{where} has no {name}" for name in shape if name not in value]
    return absent + [
        f"{where}.{name} is {value[name]!r}"
        for name, check in shape.items()
        if name in value and not check(value[name])
    ]
