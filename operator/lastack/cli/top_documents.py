"""The table of `lastack top --once` as a JSON document of kind ListenerTable; pure. Called by cli.top.

An item is one of a DiagnosisList without what it rests on and what can help: names and meaning are the same.
"""

from __future__ import annotations

from typing import Any

from lastack.cli import diagnosis_answers, diagnosis_documents, top_looks
from lastack.engine import samples

_LEFT_OUT = frozenset({"evidence", "peers", "peersOmitted", "canHelp", "cannotHelp"})


def document(answer: diagnosis_documents.Answer, seen: diagnosis_answers.Seen) -> dict[str, Any]:
    """The body of the ListenerTable."""
    whole = diagnosis_documents.document(answer)
    items = [
        {name: value for name, value in item.items() if name not in _LEFT_OUT} for item in whole["items"]
    ]
    return {**whole, "items": items, "namespaces": [_namespace(inode, seen) for inode in seen.namespaces]}


def _namespace(inode: int, seen: diagnosis_answers.Seen) -> dict[str, Any]:
    """What the kernel counts for a whole namespace, per second; null with one look or without a listener there."""
    own: list[samples.Window] = [each for each in seen.windows if each.last.namespace.inode == inode]
    found = top_looks.ambient(own)
    return {
        "netns": inode,
        "listenDropRate": _rounded(found.drops),
        "listenOverflowRate": _rounded(found.overflows),
        "synCookieRate": _rounded(found.cookies),
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 3)
