"""Whether two unit patterns can name the same unit; called by loading to find policies that claim one listener.

A pattern is a shell pattern as `systemctl` takes it: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`.
"""

import string

_ALPHABET = frozenset(string.ascii_letters + string.digits + ":_.\\@-")
_Letters = frozenset[str] | None
"""The letters that one place of a pattern allows; None is `*`, any number of any letters."""


def overlap(one: str, other: str) -> bool:
    """True when some name matches both patterns."""
    left, right = _places(one), _places(other)
    # reached: how far into `right` one can be after the places of `left` so far, as sets of pairs walked once each.
    open_pairs, seen = [(0, 0)], {(0, 0)}
    while open_pairs:
        i, j = open_pairs.pop()
        if i == len(left) and j == len(right):
            return True
        for pair in _steps(left, right, i, j):
            if pair not in seen:
                seen.add(pair)
                open_pairs.append(pair)
    return False


def _steps(left: list[_Letters], right: list[_Letters], i: int, j: int) -> list[tuple[int, int]]:
    """From a pair of places, the pairs that can come next."""
    here = left[i] if i < len(left) else frozenset[str]()
    there = right[j] if j < len(right) else frozenset[str]()
    steps = []
    if here is None:
        steps.append((i + 1, j))
        if there:
            steps.append((i, j + 1))
    if there is None:
        steps.append((i, j + 1))
        if here:
            steps.append((i + 1, j))
    if here and there and here & there:
        steps.append((i + 1, j + 1))
    return steps


def _places(pattern: str) -> list[_Letters]:
    places: list[_Letters] = []
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        end = pattern.find("]", at + 2) if letter == "[" else -1
        if end > 0:
            places.append(_letters_of(pattern[at + 1 : end]))
            at = end
        elif letter == "*":
            places.append(None)
        else:
            places.append(_ALPHABET if letter == "?" else frozenset(letter))
        at += 1
    return places


def _letters_of(inside: str) -> frozenset[str]:
    excluded = inside.startswith("!")
    rest = inside.removeprefix("!")
    letters = set()
    at = 0
    while at < len(rest):
        if rest[at + 1 : at + 2] == "-" and at + 2 < len(rest):
            letters |= {chr(code) for code in range(ord(rest[at]), ord(rest[at + 2]) + 1)}
            at += 3
        else:
            letters.add(rest[at])
            at += 1
    return _ALPHABET - letters if excluded else frozenset(letters)
