"""From what a terminal sends to the names of keys; pure. Called by cli.terminals."""

from __future__ import annotations

import enum


class Key(enum.Enum):
    """Keys without a letter of their own; every other key is its character."""

    UP = "up"
    DOWN = "down"
    PAGE_UP = "pgup"
    PAGE_DOWN = "pgdn"
    HOME = "home"
    END = "end"
    ENTER = "enter"
    ESCAPE = "esc"
    ERASE = "erase"
    REDRAW = "redraw"
    F1 = "f1"
    F3 = "f3"
    F4 = "f4"
    F6 = "f6"
    F10 = "f10"


Pressed = Key | str

_SEQUENCES = {
    b"[A": Key.UP,
    b"OA": Key.UP,
    b"[B": Key.DOWN,
    b"OB": Key.DOWN,
    b"[5~": Key.PAGE_UP,
    b"[6~": Key.PAGE_DOWN,
    b"[H": Key.HOME,
    b"OH": Key.HOME,
    b"[1~": Key.HOME,
    b"[7~": Key.HOME,
    b"[F": Key.END,
    b"OF": Key.END,
    b"[4~": Key.END,
    b"[8~": Key.END,
    b"OP": Key.F1,
    b"[11~": Key.F1,
    b"[[A": Key.F1,
    b"OR": Key.F3,
    b"[13~": Key.F3,
    b"[[C": Key.F3,
    b"OS": Key.F4,
    b"[14~": Key.F4,
    b"[[D": Key.F4,
    b"[17~": Key.F6,
    b"[21~": Key.F10,
}
"""What follows ESC, as xterm, screen, tmux, rxvt and the Linux console send it."""
_CONTROLS = {
    0x0D: Key.ENTER,
    0x0A: Key.ENTER,
    0x08: Key.ERASE,
    0x7F: Key.ERASE,
    0x0C: Key.REDRAW,
}
_ESCAPE = 0x1B


def decode(sent: bytes, *, final: bool) -> tuple[list[Pressed], bytes]:
    """The keys, and the bytes that may be the beginning of another one; `final` when no more bytes come.

    A key that has no meaning here is left out.
    """
    keys: list[Pressed] = []
    at = 0
    while at < len(sent):
        size, key = _first(sent[at:], final=final)
        if not size:
            break
        at += size
        if key is not None:
            keys.append(key)
    return keys, sent[at:]


def _first(sent: bytes, *, final: bool) -> tuple[int, Pressed | None]:
    """How many bytes the first key takes, and which it is; no bytes when it may not be whole yet."""
    if sent[0] == _ESCAPE:
        return _sequence(sent, final=final)
    if sent[0] in _CONTROLS:
        return 1, _CONTROLS[sent[0]]
    if sent[0] < 0x20:
        return 1, None
    size = 1 if sent[0] < 0x80 else 2 if sent[0] < 0xE0 else 3 if sent[0] < 0xF0 else 4
    if len(sent) < size and not final:
        return 0, None
    letter = sent[:size].decode(errors="replace")
    return min(size, len(sent)), letter if letter.isprintable() and len(letter) == 1 else None


def _sequence(sent: bytes, *, final: bool) -> tuple[int, Pressed | None]:
    if len(sent) == 1:
        return (1, Key.ESCAPE) if final else (0, None)
    if sent[1:2] not in (b"[", b"O"):
        # ESC and then another key: two keys, as when Alt is held.
        return 1, Key.ESCAPE
    # The last byte of a sequence is a letter or a tilde; `[[A` has two brackets.
    for end in range(2, len(sent)):
        if sent[end : end + 1].isalpha() or sent[end] == 0x7E:
            return end + 1, _SEQUENCES.get(sent[1 : end + 1])
    return (len(sent), None) if final else (0, None)
