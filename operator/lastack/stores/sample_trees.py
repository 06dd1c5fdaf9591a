"""Samples as JSON objects and back, by the annotations of engine.samples. Called by recordings; pure.

A field that is added to a sample is carried without a change here; one that an older recording lacks gets its
default. A record becomes an object with camelCase fields, None and defaults are left out, a duration is whole
microseconds, a column is what sample_columns makes of it. What many looks share (the instant, a process, a
namespace) stands once, in a table, and its key elsewhere; so do looks, whose keys do not move when another listener
comes or goes.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import functools
import types
import typing
from array import array
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from lastack.engine import instants, samples
from lastack.stores import merge_patches, sample_columns

Tree = merge_patches.Tree
Object = merge_patches.Object

_MICROSECOND = dt.timedelta(microseconds=1)
_SAMPLE = "sample"


@dataclasses.dataclass(frozen=True, slots=True)
class _Table:
    """Where values of one type stand, and what their key is made of."""

    name: str
    key: Callable[[typing.Any], object]


_TABLES: Mapping[object, _Table] = {
    instants.Now: _Table("instants", lambda _now: "now"),
    samples.ProcessSample: _Table("processes", lambda process: process.pid),
    samples.NamespaceSample: _Table("namespaces", lambda namespace: namespace.inode),
    samples.Look: _Table("looks", lambda look: f"{look.listener.cookie}-{look.owner.pid or 0}"),
    samples.OutboundLook: _Table("outboundLooks", lambda look: look.process.pid),
}


def write(sample: samples.Sample) -> Object:
    """The sample as one JSON object without nulls and fractions."""
    tables = _Writing()
    tree = _form(samples.Sample).write(sample, tables)
    return {_SAMPLE: tree, **{name: dict(rows) for name, rows in tables.rows.items()}}


def read(tree: Mapping[str, Tree]) -> samples.Sample:
    """The sample that `write` was given. Raises ValueError that says which field is wrong and what was found."""
    if _SAMPLE not in tree:
        raise ValueError(f"there is no {_SAMPLE!r}")
    return cast("samples.Sample", _form(samples.Sample).read(tree[_SAMPLE], _Reading(tree)))


def instant(tree: Mapping[str, Tree]) -> instants.Now:
    """When the sample was taken, without reading the rest of it. Raises ValueError as `read` does."""
    sample = tree.get(_SAMPLE)
    if not isinstance(sample, dict) or "at" not in sample:
        raise ValueError(f"there is no {_SAMPLE!r} with an instant")
    return cast("instants.Now", _form(instants.Now).read(sample["at"], _Reading(tree)))


class _Writing:
    """The tables of one sample while it is written."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Tree]] = collections.defaultdict(dict)
        self._known: dict[int, str] = {}

    def key_of(self, table: _Table, value: object, form: _Form) -> str:
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


class _Reading:
    """The tables of one sample while it is read; what stands there once is one value."""

    def __init__(self, tree: Mapping[str, Tree]) -> None:
        self._tree = tree
        self._made: dict[tuple[str, str], object] = {}

    def value_of(self, table: _Table, key: Tree, form: _Form) -> object:
        """The value with that key."""
        rows = self._tree.get(table.name)
        if not isinstance(rows, dict) or not isinstance(key, str) or key not in rows:
            raise _wrong(f"a key of {table.name!r}", key)
        if (table.name, key) not in self._made:
            self._made[table.name, key] = form.read(rows[key], self)
        return self._made[table.name, key]


class _Form(Protocol):
    """How values of one type look as JSON."""

    def write(self, value: object, tables: _Writing) -> Tree:
        """The value as JSON."""
        ...

    def read(self, tree: Tree, tables: _Reading) -> object:
        """The value again. Raises ValueError."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Plain:
    """A whole number, a text or a truth, as it is."""

    kind: type

    def write(self, value: object, _tables: _Writing) -> Tree:
        return cast("Tree", value)

    def read(self, tree: Tree, _tables: _Reading) -> object:
        # A truth is a whole number for isinstance.
        if type(tree) is not self.kind:
            raise _wrong(f"{self.kind.__name__}", tree)
        return tree


@dataclasses.dataclass(frozen=True, slots=True)
class _Word:
    """One of a closed set of texts."""

    words: tuple[str, ...]

    def write(self, value: object, _tables: _Writing) -> Tree:
        return cast("str", value)

    def read(self, tree: Tree, _tables: _Reading) -> object:
        if tree not in self.words:
            raise _wrong(f"one of {', '.join(self.words)}", tree)
        return tree


class _Duration:
    """A span in microseconds."""

    def write(self, value: object, _tables: _Writing) -> Tree:
        return cast("dt.timedelta", value) // _MICROSECOND

    def read(self, tree: Tree, _tables: _Reading) -> object:
        if type(tree) is not int:
            raise _wrong("microseconds", tree)
        try:
            return dt.timedelta(microseconds=tree)
        except OverflowError as problem:
            raise ValueError(f"{tree} microseconds are too long") from problem


class _Wall:
    """A time of the calendar, in UTC."""

    def write(self, value: object, _tables: _Writing) -> Tree:
        return instants.rfc3339(cast("dt.datetime", value), microseconds=True)

    def read(self, tree: Tree, _tables: _Reading) -> object:
        if not isinstance(tree, str):
            raise _wrong("a time", tree)
        return instants.from_rfc3339(tree)


class _Column:
    """Many numbers."""

    def write(self, value: object, _tables: _Writing) -> Tree:
        return cast("Tree", sample_columns.write(cast("array[int]", value)))

    def read(self, tree: Tree, _tables: _Reading) -> object:
        return sample_columns.read(tree)


@dataclasses.dataclass(frozen=True, slots=True)
class _Many:
    """A tuple of values of one type."""

    of: _Form

    def write(self, value: object, tables: _Writing) -> Tree:
        return [self.of.write(each, tables) for each in cast("tuple[object, ...]", value)]

    def read(self, tree: Tree, tables: _Reading) -> object:
        if not isinstance(tree, list):
            raise _wrong("a list", tree)
        return tuple(self.of.read(each, tables) for each in tree)


@dataclasses.dataclass(frozen=True, slots=True)
class _Few:
    """A tuple of so many values, each of a type of its own."""

    of: tuple[_Form, ...]

    def write(self, value: object, tables: _Writing) -> Tree:
        each = zip(self.of, cast("tuple[object, ...]", value), strict=True)
        return [form.write(part, tables) for form, part in each]

    def read(self, tree: Tree, tables: _Reading) -> object:
        if not isinstance(tree, list) or len(tree) != len(self.of):
            raise _wrong(f"a list of {len(self.of)}", tree)
        return tuple(form.read(part, tables) for form, part in zip(self.of, tree, strict=True))


@dataclasses.dataclass(frozen=True, slots=True)
class _Named:
    """A mapping from names."""

    of: _Form

    def write(self, value: object, tables: _Writing) -> Tree:
        each = cast("Mapping[str, object]", value)
        return {name: self.of.write(part, tables) for name, part in each.items()}

    def read(self, tree: Tree, tables: _Reading) -> object:
        if not isinstance(tree, dict):
            raise _wrong("an object", tree)
        return {name: self.of.read(part, tables) for name, part in tree.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class _OrMissing:
    """A value, or why there is none."""

    of: _Form
    missing: _Form

    def write(self, value: object, tables: _Writing) -> Tree:
        form = self.missing if isinstance(value, samples.Missing) else self.of
        return form.write(value, tables)

    def read(self, tree: Tree, tables: _Reading) -> object:
        return (self.missing if _is_missing(tree) else self.of).read(tree, tables)


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """One field of a record; where it is absent its value is `absent`, if it may be."""

    name: str
    key: str
    form: _Form
    may_be_absent: bool
    absent: object


@dataclasses.dataclass(frozen=True, slots=True)
class _Record:
    """A frozen dataclass."""

    kind: type
    fields: tuple[_Field, ...]

    def write(self, value: object, tables: _Writing) -> Tree:
        found: Object = {}
        for field in self.fields:
            part = getattr(value, field.name)
            if part is not None and not (field.may_be_absent and part == field.absent):
                found[field.key] = field.form.write(part, tables)
        return found

    def read(self, tree: Tree, tables: _Reading) -> object:
        if not isinstance(tree, dict):
            raise _wrong(f"a {self.kind.__name__}", tree)
        return self.kind(**{field.name: self._part(field, tree, tables) for field in self.fields})

    def _part(self, field: _Field, tree: Object, tables: _Reading) -> object:
        if field.key not in tree:
            if field.may_be_absent:
                return field.absent
            raise ValueError(f"a {self.kind.__name__} has no {field.key!r}")
        try:
            return field.form.read(tree[field.key], tables)
        except ValueError as problem:
            raise ValueError(f"{field.key}: {problem}") from problem


@dataclasses.dataclass(frozen=True, slots=True)
class _Shared:
    """A record that stands in a table."""

    table: _Table
    of: _Form

    def write(self, value: object, tables: _Writing) -> Tree:
        return tables.key_of(self.table, value, self.of)

    def read(self, tree: Tree, tables: _Reading) -> object:
        return tables.value_of(self.table, tree, self.of)


class _ArrayAnnotation:
    """Stands for array.array in annotations, which takes no [] at run time before Python 3.12."""

    def __class_getitem__(cls, _item: object) -> type:
        return cls


@functools.cache
def _form(kind: object) -> _Form:
    """The form of an annotation. Raises TypeError for one that no sample may have."""
    if isinstance(kind, typing.NewType):
        return _form(kind.__supertype__)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        rest = [each for each in inner if each not in (type(None), samples.Missing)]
        (single,) = rest or [samples.Missing]
        missing = rest and samples.Missing in inner
        return _OrMissing(_form(single), _form(samples.Missing)) if missing else _form(single)
    if origin is typing.Literal:
        return _Word(inner)
    if origin is tuple:
        return _Many(_form(inner[0])) if inner[-1] is Ellipsis else _Few(tuple(map(_form, inner)))
    if origin is Mapping:
        return _Named(_form(inner[1]))
    if isinstance(kind, type):
        return _form_of_type(kind)
    raise TypeError(f"{kind} cannot be recorded")


def _form_of_type(kind: type) -> _Form:
    simple: Mapping[type, _Form] = {
        dt.timedelta: _Duration(),
        dt.datetime: _Wall(),
        _ArrayAnnotation: _Column(),
        **{plain: _Plain(plain) for plain in (int, str, bool)},
    }
    if kind in simple:
        return simple[kind]
    if not dataclasses.is_dataclass(kind):
        raise TypeError(f"{kind} cannot be recorded")
    annotations = typing.get_type_hints(kind, localns={"array": _ArrayAnnotation})
    fields = tuple(_field(field, annotations[field.name]) for field in dataclasses.fields(kind))
    record = _Record(kind, fields)
    return _Shared(_TABLES[kind], record) if kind in _TABLES else record


def _field(field: dataclasses.Field[object], annotation: object) -> _Field:
    optional = type(None) in typing.get_args(annotation)
    has_default = field.default is not dataclasses.MISSING
    # What tells a Missing from the value that would stand there instead.
    first, *more = ("missing" if field.name == "why" else field.name).split("_")
    return _Field(
        name=field.name,
        key=first + "".join(word.capitalize() for word in more),
        form=_form(annotation),
        may_be_absent=optional or has_default,
        absent=None if optional else field.default,
    )


def _is_missing(tree: Tree) -> bool:
    # An owner's own field of that name holds an object.
    return isinstance(tree, dict) and isinstance(tree.get("missing"), str)


def _wrong(expected: str, found: Tree) -> ValueError:
    words = repr(found)
    return ValueError(f"expected {expected}, found {words if len(words) <= 40 else words[:39] + '…'}")
