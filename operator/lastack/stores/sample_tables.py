"""Tables of what the looks of one sample share, while it is written or read. Called by sample_forms and sample_trees.

The instant, a process, a namespace and a look itself stand once, in a table, and their keys elsewhere: a key does not
move when another listener comes or goes.
"""

from __future__ import annotations

import collections
import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Protocol

from lastack.engine import instants, samples
from lastack.stores import merge_patches

Tree = merge_patches.Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """Where values of one type stand, and what their key is made of."""

    name: str
    key: Callable[[typing.Any], object]


TABLES: Mapping[object, Table] = {
    instants.Now: Table("instants", lambda _now: "now"),
    samples.ProcessSample: Table("processes", lambda process: process.pid),
    samples.NamespaceSample: Table("namespaces", lambda namespace: namespace.inode),
    samples.Look: Table("looks", lambda look: f"{look.listener.cookie}-{look.owner.pid or 0}"),
    samples.OutboundLook: Table("outboundLooks", lambda look: look.process.pid),
}


class Form(Protocol):
    """How values of one type look as JSON."""

    def write(self, value: object, tables: Writing) -> Tree:
        """The value as JSON."""
        ...

    def read(self, tree: Tree, tables: Reading) -> object:
        """The value again. Raises ValueError."""
        ...


class Writing:
    """The tables of one sample while it is written."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Tree]] = collections.defaultdict(dict)
        self._known: dict[int, str] = {}

    def key_of(self, table: Table, value: object, form: Form) -> str:
        """Put a value into its table once; an equal key of another value gets a mark."""
        known = self._known.get(id(value))
        if known is not None:
            return known
        tree, key = form.write(value, self), str(table.key(value))
        rows = self.rows[table.name]
        while key in rows and rows[key] != tree:
            key += "+"
        rows[key] = tree
        self._known[id(value)] = key
        return key


class Reading:
    """The tables of one sample while it is read; what stands there once is one value."""

    def __init__(self, tree: Mapping[str, Tree]) -> None:
        self._tree = tree
        self._made: dict[tuple[str, str], object] = {}

    def value_of(self, table: Table, key: Tree, form: Form) -> object:
        """The value with that key."""
        rows = self._tree.get(table.name)
        if not isinstance(rows, dict) or not isinstance(key, str) or key not in rows:
            raise wrong(f"a key of {table.name!r}", key)
        if (table.name, key) not in self._made:
            self._made[table.name, key] = form.read(rows[key], self)
        return self._made[table.name, key]


def wrong(expected: str, found: Tree) -> ValueError:
    """The error for what was read: what was expected, what was found."""
    words = repr(found)
    return ValueError(f"expected {expected}, found {words if len(words) <= 40 else words[:39] + '…'}")
