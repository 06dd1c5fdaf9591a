"""What changed from one JSON object to the next, as an RFC 7396 merge patch. Called by recordings; pure.

A null in a patch takes a field away, so the objects themselves hold no nulls.
"""

from __future__ import annotations

from collections.abc import Mapping

Tree = bool | int | str | list["Tree"] | dict[str, "Tree"]
"""A JSON value without nulls and fractions."""
Patch = None | bool | int | str | list["Tree"] | Mapping[str, "Patch"]
Object = dict[str, Tree]
Changes = Mapping[str, Patch]


def difference(before: Object, after: Object) -> Changes:
    """The smallest patch that makes `after` of `before`; a list that changed stands in it whole."""
    patch: dict[str, Patch] = {key: None for key in before if key not in after}
    for key, new in after.items():
        old = before.get(key)
        if isinstance(new, dict):
            if not isinstance(old, dict):
                patch[key] = new
            elif inner := difference(old, new):
                patch[key] = inner
        elif key not in before or type(new) is not type(old) or new != old:
            patch[key] = new
    return patch


def merged(before: Object, patch: Changes) -> Object:
    """`before` with the changes; `before` stays as it is, and what did not change is shared with it."""
    after = dict(before)
    for key, change in patch.items():
        if change is None:
            after.pop(key, None)
        elif isinstance(change, Mapping):
            old = after.get(key)
            after[key] = merged(old if isinstance(old, dict) else {}, change)
        else:
            after[key] = change
    return after
