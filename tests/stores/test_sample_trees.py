"""Samples become JSON and come back as they were, whatever is in them."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import functools
import json
import re
import types
import typing
import zlib
from array import array
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.engine import instants, samples
from lastack.stores import merge_patches, sample_columns, sample_trees

SPANS = st.timedeltas(min_value=dt.timedelta(0), max_value=dt.timedelta(days=4000))
COUNTS = st.integers(min_value=0, max_value=2**53)


def columns() -> st.SearchStrategy[array[int]]:
    """A column, short or long, of numbers of up to 64 bits."""
    short = st.lists(st.integers(min_value=0, max_value=2**64 - 1), max_size=4)
    long = st.builds(lambda first, count: [first + 7 * n for n in range(count)], COUNTS, st.integers(33, 90))
    return (short | long).map(lambda found: array("Q", found))


class ArrayAnnotation:
    """Stands for array.array in annotations, which takes no [] at run time before Python 3.12."""

    def __class_getitem__(cls, _item: object) -> type:
        """Itself."""
        return cls


SIMPLE: dict[object, st.SearchStrategy[object]] = {
    int: COUNTS,
    str: st.text(max_size=8),
    bool: st.booleans(),
    type(None): st.none(),
    dt.timedelta: SPANS,
    dt.datetime: st.datetimes(timezones=st.just(dt.UTC)),
    ArrayAnnotation: columns(),
}


@functools.cache
def anything(kind: object) -> st.SearchStrategy[Any]:
    """Any value that an annotation of engine.samples allows: a field that is added there is tried here."""
    if isinstance(kind, typing.NewType):
        return anything(kind.__supertype__)
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([anything(each) for each in inner])
    if origin is typing.Literal:
        return st.sampled_from(inner)
    if origin is tuple and inner[-1] is Ellipsis:
        return st.lists(anything(inner[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(anything, inner))
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=3), anything(inner[1]), max_size=2)
    assert isinstance(kind, type), kind
    hints = typing.get_type_hints(kind, localns={"array": ArrayAnnotation})
    fields = {field.name: anything(hints[field.name]) for field in dataclasses.fields(kind)}
    return st.builds(kind, **fields)


SAMPLES = anything(samples.Sample)


def through_json(value: Mapping[str, object]) -> dict[str, Any]:
    """What the other end of a file gets."""
    found: dict[str, Any] = json.loads(json.dumps(value))
    return found


@given(SAMPLES)
def test_a_sample_comes_back_as_it_was(sample: samples.Sample) -> None:
    """Every type of a sample, every union, every None, half characters of names included."""
    tree = through_json(sample_trees.write(sample))
    assert sample == sample_trees.read(tree)
    assert sample.at == sample_trees.instant(tree)


@given(SAMPLES, SAMPLES)
def test_a_patch_makes_the_next_sample_of_the_one_before(
    before: samples.Sample, after: samples.Sample
) -> None:
    """Also when the two have nothing in common; the one before stays as it was."""
    old, new = sample_trees.write(before), sample_trees.write(after)
    kept = through_json(old)
    patch = through_json(merge_patches.difference(old, new))
    assert new == merge_patches.merged(old, patch)
    assert kept == old


def test_nothing_changed_is_an_empty_patch() -> None:
    """What does not move costs nothing."""
    tree: merge_patches.Object = {"a": {"b": [1], "c": {}}, "d": "x"}
    assert {} == merge_patches.difference(tree, through_json(tree))


def test_a_field_that_an_older_recording_lacks_has_its_default() -> None:
    """What was not known then is said to be so, not made up."""
    process: dict[str, Any] = {
        "pid": 7,
        "command": "java",
        "started": 5,
        "openFiles": 1,
        "openFilesLimit": 2,
        "threads": 3,
    }
    look = {
        "at": "now",
        "process": "7",
        "rows": {key: [] for key in ("cookies", "inodes", "unread", "agesMs", "sentMs")},
        "peers": [],
        "peerOf": [],
        "namespace": "9",
    }
    tree: dict[str, Any] = {
        "sample": {"at": "now", "looks": [], "outbound": ["7"]},
        "instants": {"now": {"wall": "2026-11-22T10:00:00.5Z", "steady": 5, "bootId": "b"}},
        "processes": {"7": process},
        "namespaces": {"9": {"inode": 9, "counters": {}, "sysctls": {}}},
        "outboundLooks": {"7": look},
    }
    (found,) = sample_trees.read(tree).outbound
    assert (None, samples.Missing("not looked at")) == (found.process.parent, found.process.cpu)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("depth", "many", "listener: depth: expected int, found 'many'"),
        ("depth", True, "depth: expected int, found True"),
        ("depth", 1.5, "depth: expected int, found 1.5"),
        ("depth", None, "a ListenerSample has no 'depth'"),
        ("closeWait", {"cookies": [1]}, "closeWait: a CloseWaitRows has no 'inodes'"),
        ("queued", {"cookies": [-1], "agesMs": []}, "cookies: expected numbers from 0"),
        ("queued", {"cookies": ["1"], "agesMs": []}, "cookies: expected whole numbers"),
        ("queued", {"cookies": "d:!", "agesMs": []}, "cookies: a packed column cannot be unpacked"),
        ("queued", {"cookies": "d:eJw=", "agesMs": []}, "cookies: a packed column is cut"),
        ("queued", {"cookies": "x", "agesMs": []}, "cookies: expected a list of numbers or a packed column"),
        ("peers", {}, "peers: expected a list, found {}"),
        ("peers", [["a", 1]], "peers: expected a PeerCount"),
        ("address", {"address": "*", "port": 1, "family": "ipx"}, "family: expected one of inet, inet6"),
    ],
)
def test_what_is_of_another_type_is_named(field: str, value: object, said: str) -> None:
    """Where it is, what was found, what was expected: a recording comes from somebody else."""
    tree = through_json(sample_trees.write(_one()))
    (listener,) = [look["listener"] for look in tree["looks"].values()]
    if value is None:
        del listener[field]
    else:
        listener[field] = value
    with pytest.raises(ValueError, match=re.escape(said)):
        sample_trees.read(tree)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("looks", {}, "looks: expected a key of 'looks', found '1-0'"),
        ("looks", 5, "looks: expected a key of 'looks'"),
        ("namespaces", {}, "namespace: expected a key of 'namespaces', found '9'"),
        ("instants", {"now": {"wall": "soon", "bootId": "", "steady": 1}}, "wall: 'soon' is not a UTC time"),
    ],
)
def test_a_table_that_lacks_what_is_asked_of_it_is_named(
    key: str, value: merge_patches.Tree, said: str
) -> None:
    """No KeyError and no TypeError reaches whoever replays."""
    tree = {**sample_trees.write(_one()), key: value}
    with pytest.raises(ValueError, match=re.escape(said)):
        sample_trees.read(tree)


@given(columns())
def test_a_long_column_is_packed_and_comes_back(column: array[int]) -> None:
    """Numbers of 64 bits in any order."""
    packed = sample_columns.write(column)
    assert (len(column) > 32) == isinstance(packed, str)
    assert column == sample_columns.read(packed)


def test_a_packed_column_is_small() -> None:
    """A hundred thousand rows that count up, as cookies and ages do, are a few bytes each at most."""
    column = array("Q", [1_000_000 + 17 * n + n % 5 for n in range(100_000)])
    assert len(sample_columns.write(column)) < 2 * len(column)


def test_a_packed_column_cannot_fill_the_memory() -> None:
    """A few kilobytes that would unpack to gigabytes are refused."""
    bomb = base64.b64encode(zlib.compress(bytes(64 * 1024 * 1024), 9)).decode()
    with pytest.raises(ValueError, match="longer than 4000000 rows"):
        sample_columns.read("n:" + bomb)


def _one() -> samples.Sample:
    now = instants.Now(dt.datetime(2026, 11, 22, tzinfo=dt.UTC), dt.timedelta(hours=1), "boot")
    empty = array("Q")
    listener = samples.ListenerSample(
        samples.ListenerAddress("*", 8080, "inet6"),
        1,
        0,
        50,
        0,
        samples.QueuedRows(empty, empty),
        samples.CloseWaitRows(empty, empty, empty, empty, empty),
        0,
        0,
        0,
        reuseport=False,
        peers=(),
        peers_omitted=0,
    )
    owner = samples.Owner(None, (), samples.Missing("not permitted"))
    look = samples.Look(now, listener, owner, samples.NamespaceSample(9, {"ListenDrops": 1}, {}))
    return samples.Sample(now, (look,))
