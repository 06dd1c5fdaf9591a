"""Keys are told from what terminals send, also when it comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.cli import top_keys

Key = top_keys.Key

SENT = {
    b"q": ["q"],
    b"\x1b[A\x1b[B": [Key.UP, Key.DOWN],
    b"\x1bOA\x1bOB": [Key.UP, Key.DOWN],
    b"\x1b[5~\x1b[6~": [Key.PAGE_UP, Key.PAGE_DOWN],
    b"\x1b[H\x1b[F": [Key.HOME, Key.END],
    b"\x1b[1~\x1b[4~": [Key.HOME, Key.END],
    b"\x1bOP\x1b[11~\x1b[[A": [Key.F1, Key.F1, Key.F1],
    b"\x1bOR\x1bOS": [Key.F3, Key.F4],
    b"\x1b[17~\x1b[21~": [Key.F6, Key.F10],
    b"\r\n": [Key.ENTER, Key.ENTER],
    b"\x7f\x08": [Key.ERASE, Key.ERASE],
    b"\x0c": [Key.REDRAW],
    b"\x1b": [Key.ESCAPE],
    b"\x1b\x1b": [Key.ESCAPE, Key.ESCAPE],
    b"\x1bx": [Key.ESCAPE, "x"],
    "ä€😀".encode(): ["ä", "€", "😀"],
    b"a\x01\x02b": ["a", "b"],
    # Keys that mean nothing here, a mouse, and what is no key at all.
    b"\x1b[2~\x1b[15~q": ["q"],
    b"\x1b[1;5Aq": ["q"],
    b"\xff\xfeq": ["q"],
}


@pytest.mark.parametrize("sent", SENT)
def test_a_terminal_s_bytes_are_keys(sent: bytes) -> None:
    """As xterm, tmux, rxvt and the console send them."""
    expected = SENT[sent]
    if b"\xff" in sent:
        # A broken character may swallow what stands where its rest should be.
        assert set(top_keys.decode(sent, final=True)[0]) <= {"q", "�"}
        return
    assert (expected, b"") == top_keys.decode(sent, final=True)


@pytest.mark.parametrize(
    "sent", [sent for sent in SENT if not sent.startswith(b"\x1b\x1b") and b"\xff" not in sent]
)
def test_a_key_that_comes_in_pieces_is_one_key(sent: bytes) -> None:
    """Cut anywhere: what may go on is kept back."""
    for at in range(len(sent)):
        first, rest = top_keys.decode(sent[:at], final=False)
        more, left = top_keys.decode(rest + sent[at:], final=True)
        assert (SENT[sent], b"") == (first + more, left)


@given(st.binary(max_size=30))
def test_any_bytes_come_to_an_end(sent: bytes) -> None:
    """Nothing hangs, nothing raises, and every character can be shown."""
    keys, left = top_keys.decode(sent, final=True)
    assert b"" == left
    assert all(isinstance(key, Key) or (len(key) == 1 and key.isprintable()) for key in keys)
