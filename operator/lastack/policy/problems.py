"""What is wrong with a policy file, and where; made by loading and lint, printed by cli, carried by the child.

Imports neither yaml nor pydantic, so that the long-lived process can hold problems without either.
"""

import dataclasses
import difflib
import enum
from collections.abc import Iterable


class Severity(enum.StrEnum):
    """An error refuses the whole set; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text, counted from 1 as editors do; a column is a character, not a byte."""

    line: int
    column: int


START = Position(1, 1)


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, at one place. `code` is stable for scripts; `message` and `hint` are for people."""

    file: str
    line: int
    column: int
    severity: Severity
    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}{hint}"


def has_errors(problems: Iterable[Problem]) -> bool:
    """One error is enough to refuse the set."""
    return any(problem.severity is Severity.ERROR for problem in problems)


def shown(value: object) -> str:
    """A value of a file as a message names it; short, on one line, without anything that drives a terminal."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return quoted(value)
        case list():
            return f"a list of {len(value)}" if value else "an empty list"
        case _:
            return "a mapping"


def quoted(text: str) -> str:
    """Text between double quotes, cut after 60 characters, control characters as escapes."""
    cut = text if len(text) <= 60 else text[:57] + "..."
    safe = (letter if letter.isprintable() and letter not in '"\\' else _escape(letter) for letter in cut)
    return '"' + "".join(safe) + '"'


def _escape(letter: str) -> str:
    return (
        "\\" + letter if letter in '"\\' else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
    )


def bare(name: str) -> str:
    """A field name as a message writes it: as it is when it is a plain word, quoted when it is not."""
    plain = name.isascii() and 0 < len(name) <= 60 and all(c.isalnum() or c in "._-/@*" for c in name)
    return name if plain else quoted(name)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that looks most like `word`, blind to upper and lower case; None when none does."""
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word[:100].lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of `known`, or nothing when nothing is near."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near is not None else ""


def listed(words: Iterable[str]) -> str:
    """Several words as a choice: `a, b or c`."""
    every = list(words)
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} or {every[-1]}"
