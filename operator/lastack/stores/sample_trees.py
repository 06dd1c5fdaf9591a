"""Samples as JSON objects and back, without nulls and fractions. Called by recorders and replays; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from lastack.engine import instants, samples
from lastack.stores import merge_patches, sample_forms, sample_tables

Tree = merge_patches.Tree
Object = merge_patches.Object

_SAMPLE = "sample"


def write(sample: samples.Sample) -> Object:
    """The sample as one JSON object without nulls and fractions."""
    tables = sample_tables.Writing()
    tree = sample_forms.of(samples.Sample).write(sample, tables)
    return {_SAMPLE: tree, **{name: dict(rows) for name, rows in tables.rows.items()}}


def read(tree: Mapping[str, Tree]) -> samples.Sample:
    """The sample that `write` was given. Raises ValueError that says which field is wrong and what was found."""
    if _SAMPLE not in tree:
        raise ValueError(f"there is no {_SAMPLE!r}")
    return cast(
        "samples.Sample", sample_forms.of(samples.Sample).read(tree[_SAMPLE], sample_tables.Reading(tree))
    )


def instant(tree: Mapping[str, Tree]) -> instants.Now:
    """When the sample was taken, without reading the rest of it. Raises ValueError as `read` does."""
    sample = tree.get(_SAMPLE)
    if not isinstance(sample, dict) or "at" not in sample:
        raise ValueError(f"there is no {_SAMPLE!r} with an instant")
    return cast("instants.Now", sample_forms.of(instants.Now).read(sample["at"], sample_tables.Reading(tree)))
