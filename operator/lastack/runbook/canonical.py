"""The one way to write a value as JSON, and the strict way to read it. Called by entries and chain.

RFC 8785 restricted as the contracts say: ASCII keys in order, no fractions, integers within 2^53-1,
valid UTF-8.
"""

import json
import re
from collections.abc import Mapping

from lastack import errors
from lastack.engine import outcomes

LARGEST_INTEGER = 2**53 - 1

_HALF_CHARACTERS = re.compile("[\ud800-\udfff]")
_MOST_DIGITS = 17
_DEEPEST = 64


def write(value: outcomes.Json) -> bytes:
    """The canonical bytes of a value. Raises InvariantBroken for what `settle` would not let through."""
    checked = _writable(value)
    return json.dumps(checked, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def settle(value: outcomes.Json) -> outcomes.Json:
    """The value as it can be written: half characters become U+FFFD, large integers decimal strings."""
    match value:
        case str():
            return whole(value)
        case None | bool():
            return value
        case int():
            return int(value) if abs(value) <= LARGEST_INTEGER else str(int(value))
        case Mapping():
            return settle_object(value)
        case _:
            return tuple(settle(item) for item in value)


def settle_object(value: Mapping[str, outcomes.Json]) -> dict[str, outcomes.Json]:
    """The same for an object. A key is ours, or a name of the world that became one: escaped into ASCII."""
    return {key.encode("ascii", "backslashreplace").decode(): settle(item) for key, item in value.items()}


def whole(words: str) -> str:
    """The text with every half character (what undecodable bytes became) as U+FFFD."""
    return _HALF_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", words)


def read(line: bytes) -> dict[str, outcomes.Json]:
    """Read a JSON object; arrays become tuples. Raises NotAnEntry for what could not have been written so."""
    try:
        value = json.loads(
            line.decode(),
            object_pairs_hook=_once_each,
            parse_float=_no_fraction,
            parse_int=_small_integer,
            parse_constant=_no_fraction,
        )
        if not isinstance(value, dict):
            raise errors.NotAnEntry(f"it is a JSON {type(value).__name__}; expected an object")
        return {key: _frozen(item, 1) for key, item in value.items()}
    except UnicodeDecodeError as error:
        raise errors.NotAnEntry(f"it is not valid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise errors.NotAnEntry(f"it is not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise errors.NotAnEntry("it is nested too deeply") from None


def _writable(value: object) -> object:
    match value:
        case None | bool():
            return value
        case int() if abs(value) <= LARGEST_INTEGER:
            return int(value)
        case str() if not _HALF_CHARACTERS.search(value):
            return str(value)
        case tuple():
            return [_writable(item) for item in value]
        case Mapping() if all(isinstance(key, str) and key.isascii() for key in value):
            return {str(key): _writable(item) for key, item in value.items()}
        case _:
            raise errors.InvariantBroken(
                f"{value!r} cannot stand in an entry: fractions are decimal strings, keys are ASCII"
            )


def _frozen(value: object, depth: int) -> outcomes.Json:
    if depth > _DEEPEST:
        raise errors.NotAnEntry("it is nested too deeply")
    match value:
        case None | bool() | int():
            return value
        case list():
            return tuple(_frozen(item, depth + 1) for item in value)
        case dict():
            return {key: _frozen(item, depth + 1) for key, item in value.items()}
        case _:
            text = str(value)
            if _HALF_CHARACTERS.search(text):
                raise errors.NotAnEntry("a string holds half a character (an unpaired surrogate)")
            return text


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise errors.NotAnEntry("a key stands twice in one object")
    if not all(key.isascii() for key in found):
        raise errors.NotAnEntry("a key is not ASCII")
    return found


def _no_fraction(digits: str) -> object:
    raise errors.NotAnEntry(f"{digits[:40]} is not a whole number; fractions are written as decimal strings")


def _small_integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS or abs(int(digits)) > LARGEST_INTEGER:
        raise errors.NotAnEntry(
            f"{digits[:40]} is beyond 2^53-1; larger integers are written as decimal strings"
        )
    return int(digits)
