"""How each type of engine.samples looks as JSON, by its annotations. Called by sample_trees; pure.

A field that is added to a sample is carried without a change here; one that an older recording lacks gets its default.
A record becomes an object with camelCase fields, None and defaults are left out, a duration is whole microseconds, a
column is what sample_columns makes of it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import types
import typing
from array import array
from collections.abc import Mapping
from typing import cast

from lastack.engine import instants, samples
from lastack.stores import merge_patches, sample_columns, sample_tables

Tree = merge_patches.Tree
Object = merge_patches.Object


_MICROSECOND = dt.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, slots=True)
class _Plain:
    """A whole number, a text or a truth, as it is."""

    kind: type

    def write(self, value: object, _tables: sample_tables.Writing) -> Tree:
        return cast("Tree", value)

    def read(self, tree: Tree, _tables: sample_tables.Reading) -> object:
        # A truth is a whole number for isinstance.
        if type(tree) is not self.kind:
            raise sample_tables.wrong(f"{self.kind.__name__}", tree)
        return tree


@dataclasses.dataclass(frozen=True, slots=True)
class _Word:
    """One of a closed set of texts."""

    words: tuple[str, ...]

    def write(self, value: object, _tables: sample_tables.Writing) -> Tree:
        return cast("str", value)

    def read(self, tree: Tree, _tables: sample_tables.Reading) -> object:
        if tree not in self.words:
            raise sample_tables.wrong(f"one of {', '.join(self.words)}", tree)
        return tree


class _Duration:
    """A span in microseconds."""

    def write(self, value: object, _tables: sample_tables.Writing) -> Tree:
        return cast("dt.timedelta", value) // _MICROSECOND

    def read(self, tree: Tree, _tables: sample_tables.Reading) -> object:
        if type(tree) is not int:
            raise sample_tables.wrong("microseconds", tree)
        try:
            return dt.timedelta(microseconds=tree)
        except OverflowError as problem:
            raise ValueError(f"{tree} microseconds are too long") from problem


class _Wall:
    """A time of the calendar, in UTC."""

    def write(self, value: object, _tables: sample_tables.Writing) -> Tree:
        return instants.rfc3339(cast("dt.datetime", value), microseconds=True)

    def read(self, tree: Tree, _tables: sample_tables.Reading) -> object:
        if not isinstance(tree, str):
            raise sample_tables.wrong("a time", tree)
        return instants.from_rfc3339(tree)


class _Column:
    """Many numbers."""

    def write(self, value: object, _tables: sample_tables.Writing) -> Tree:
        return cast("Tree", sample_columns.write(cast("array[int]", value)))

    def read(self, tree: Tree, _tables: sample_tables.Reading) -> object:
        return sample_columns.read(tree)


@dataclasses.dataclass(frozen=True, slots=True)
class _Many:
    """A tuple of values of one type."""

    of: sample_tables.Form

    def write(self, value: object, tables: sample_tables.Writing) -> Tree:
        return [self.of.write(each, tables) for each in cast("tuple[object, ...]", value)]

    def read(self, tree: Tree, tables: sample_tables.Reading) -> object:
        if not isinstance(tree, list):
            raise sample_tables.wrong("a list", tree)
        return tuple(self.of.read(each, tables) for each in tree)


@dataclasses.dataclass(frozen=True, slots=True)
class _Few:
    """A tuple of so many values, each of a type of its own."""

    of: tuple[sample_tables.Form, ...]

    def write(self, value: object, tables: sample_tables.Writing) -> Tree:
        each = zip(self.of, cast("tuple[object, ...]", value), strict=True)
        return [form.write(part, tables) for form, part in each]

    def read(self, tree: Tree, tables: sample_tables.Reading) -> object:
        if not isinstance(tree, list) or len(tree) != len(self.of):
            raise sample_tables.wrong(f"a list of {len(self.of)}", tree)
        return tuple(form.read(part, tables) for form, part in zip(self.of, tree, strict=True))


@dataclasses.dataclass(frozen=True, slots=True)
class _Named:
    """A mapping from names."""

    of: sample_tables.Form

    def write(self, value: object, tables: sample_tables.Writing) -> Tree:
        each = cast("Mapping[str, object]", value)
        return {name: self.of.write(part, tables) for name, part in each.items()}

    def read(self, tree: Tree, tables: sample_tables.Reading) -> object:
        if not isinstance(tree, dict):
            raise sample_tables.wrong("an object", tree)
        return {name: self.of.read(part, tables) for name, part in tree.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class _OrMissing:
    """A value, or why there is none."""

    of: sample_tables.Form
    missing: sample_tables.Form

    def write(self, value: object, tables: sample_tables.Writing) -> Tree:
        form = self.missing if isinstance(value, samples.Missing) else self.of
        return form.write(value, tables)

    def read(self, tree: Tree, tables: sample_tables.Reading) -> object:
        return (self.missing if _is_missing(tree) else self.of).read(tree, tables)


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """One field of a record; where it is absent its value is `absent`, if it may be."""

    name: str
    key: str
    form: sample_tables.Form
    may_be_absent: bool
    absent: object


@dataclasses.dataclass(frozen=True, slots=True)
class _Record:
    """A frozen dataclass."""

    kind: type
    fields: tuple[_Field, ...]

    def write(self, value: object, tables: sample_tables.Writing) -> Tree:
        found: Object = {}
        for field in self.fields:
            part = getattr(value, field.name)
            if part is not None and not (field.may_be_absent and part == field.absent):
                found[field.key] = field.form.write(part, tables)
        return found

    def read(self, tree: Tree, tables: sample_tables.Reading) -> object:
        if not isinstance(tree, dict):
            raise sample_tables.wrong(f"a {self.kind.__name__}", tree)
        return self.kind(**{field.name: self._part(field, tree, tables) for field in self.fields})

    def _part(self, field: _Field, tree: Object, tables: sample_tables.Reading) -> object:
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

    table: sample_tables.Table
    of: sample_tables.Form

    def write(self, value: object, tables: sample_tables.Writing) -> Tree:
        return tables.key_of(self.table, value, self.of)

    def read(self, tree: Tree, tables: sample_tables.Reading) -> object:
        return tables.value_of(self.table, tree, self.of)


class _ArrayAnnotation:
    """Stands for array.array in annotations, which takes no [] at run time before Python 3.12."""

    def __class_getitem__(cls, _item: object) -> type:
        return cls


@functools.cache
def of(kind: object) -> sample_tables.Form:
    """The form of an annotation. Raises TypeError for one that no sample may have."""
    if isinstance(kind, typing.NewType):
        return of(kind.__supertype__)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        rest = [each for each in inner if each not in (type(None), samples.Missing)]
        (single,) = rest or [samples.Missing]
        missing = rest and samples.Missing in inner
        return _OrMissing(of(single), of(samples.Missing)) if missing else of(single)
    if origin is typing.Literal:
        return _Word(inner)
    if origin is tuple:
        return _Many(of(inner[0])) if inner[-1] is Ellipsis else _Few(tuple(map(of, inner)))
    if origin is Mapping:
        return _Named(of(inner[1]))
    if isinstance(kind, type):
        return _form_of_type(kind)
    raise TypeError(f"{kind} cannot be recorded")


def _form_of_type(kind: type) -> sample_tables.Form:
    simple: Mapping[type, sample_tables.Form] = {
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
    return _Shared(sample_tables.TABLES[kind], record) if kind in sample_tables.TABLES else record


def _field(field: dataclasses.Field[object], annotation: object) -> _Field:
    optional = type(None) in typing.get_args(annotation)
    has_default = field.default is not dataclasses.MISSING
    # What tells a Missing from the value that would stand there instead.
    first, *more = ("missing" if field.name == "why" else field.name).split("_")
    return _Field(
        name=field.name,
        key=first + "".join(word.capitalize() for word in more),
        form=of(annotation),
        may_be_absent=optional or has_default,
        absent=None if optional else field.default,
    )


def _is_missing(tree: Tree) -> bool:
    # An owner's own field of that name holds an object.
    return isinstance(tree, dict) and isinstance(tree.get("missing"), str)
