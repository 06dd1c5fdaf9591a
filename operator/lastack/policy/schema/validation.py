"""Validates one document with pydantic and says in our words what is wrong with its values; called by loading.

Names (unknown, missing, not supported) are the business of surveying; their errors are left out here.
"""

from collections.abc import Iterator, Mapping

import pydantic
from pydantic_core import ErrorDetails

from lastack.policy import findings, problems, scalars
from lastack.policy.schema import documents

_OF_NAMES = frozenset({"extra_forbidden", "missing", "union_tag_invalid", "union_tag_not_found"})
_SHAPES: Mapping[str, tuple[str, str]] = {
    "list_type": ("wrong-type", "a list"),
    "dict_type": ("wrong-type", "a mapping of names to values"),
    "model_type": ("wrong-type", "a mapping of names to values"),
    "model_attributes_type": ("wrong-type", "a mapping of names to values"),
    "too_short": ("empty-value", "at least one entry"),
}


def validate(document: object) -> documents.Document | tuple[findings.Finding, ...]:
    """The document with every value of its final type, or everything that is wrong with its values."""
    try:
        return documents.Document.model_validate(_without_empty(document))
    except pydantic.ValidationError as wrong:
        found = wrong.errors(include_url=False)
        return tuple(finding for error in found for finding in _of(error))


def _without_empty(value: object) -> object:
    """The same without fields that have no value: surveying has named them."""
    match value:
        case dict():
            return {name: _without_empty(held) for name, held in value.items() if held is not None}
        case list():
            return [_without_empty(item) for item in value]
        case _:
            return value


def _of(error: ErrorDetails) -> Iterator[findings.Finding]:
    path, kind = _path(error["loc"]), error["type"]
    cause = error.get("ctx", {}).get("error")
    if kind in _OF_NAMES:
        return
    if isinstance(cause, scalars.BadValue):
        yield _bad(path, cause)
    elif isinstance(cause, scalars.BadValues):
        yield from (_bad(path, one) for one in cause.every)
    else:
        code, expected = _SHAPES[kind]
        given = error["input"]
        hint = (
            f"in brackets: [{problems.bare(str(given))}]"
            if kind == "list_type" and isinstance(given, int | str)
            else ""
        )
        message = f"{findings.written(path)} is {problems.shown(given)}; expected {expected}"
        yield findings.error(path, code, message, hint)


def _bad(path: findings.Path, value: scalars.BadValue) -> findings.Finding:
    here = (*path, *value.at)
    message = f"{findings.written(here)} {value}"
    return findings.error(here, value.code, message, value.hint, of_key=value.code == "conflict")


def _path(location: tuple[int | str, ...]) -> findings.Path:
    """The path in the document: pydantic puts the chosen `action` behind the index of a stage."""
    if location[:2] == ("spec", "stages"):
        return location[:3] + location[4:]
    return location
