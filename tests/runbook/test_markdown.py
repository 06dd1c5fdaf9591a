"""Markdown: no word of the world becomes anything but a word."""

from __future__ import annotations

import html
import re

import markdown_it
import pytest
from hypothesis import given

from lastack.runbook import markdown
from tests.runbook import given as worlds

READER = markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": False})

HOSTILE = [
    "<script>alert(1)</script>",
    "![x](http://evil/x.png)",
    "[click](javascript:alert(1))",
    "<http://evil>",
    "| a | b |",
    "a\n\n# heading\n\n- item",
    "`code` ``more`` ```",
    "\x1b[31mred\x07",
    "\u202egnitirw\u200b",
    "&lt;b&gt; &#60;",
    "**bold** _it_ ~~no~~ \\*",
    "1. one",
    "+ plus",
    "- minus",
    "=====",
    "caf\udce9",
    "tcp_max_syn_backlog and __init__",
    "",
]


def seen(rendered: str) -> str:
    """The words of a page, as a reader of the HTML sees them."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", rendered)).split())


def tags(rendered: str) -> set[str]:
    """The HTML tags of a page."""
    return set(re.findall(r"</?([a-z0-9]+)", rendered))


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_words(words: str) -> None:
    """In a paragraph, in a cell, in monospace and in a block: no tag that we did not write."""
    assert tags(READER.render(f"x {markdown.text(words)}")) <= {"p"}
    page = READER.render(
        "\n".join(markdown.table(["A", "B"], [[markdown.text(words), markdown.code(words)]]))
    )
    assert tags(page) <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
    assert 2 == page.count("<td")
    assert {"pre", "code"} >= tags(READER.render("\n".join(markdown.fence(words))))


@given(worlds.words)
def test_any_words_stay_words(words: str) -> None:
    """Whatever a process is called."""
    assert tags(READER.render(f"x {markdown.text(words)} y")) <= {"p"}
    assert tags(READER.render(f"x {markdown.code(words)} y")) <= {"p", "code"}
    assert tags(READER.render("\n".join(["x", "", *markdown.fence(words), "", "y"]))) <= {"p", "pre", "code"}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            "device-api@1.service: 51 of 50 (net.core.somaxconn)",
            "device-api@1.service: 51 of 50 (net.core.somaxconn)",
        ),
        ("tcp_max_syn_backlog", "tcp_max_syn_backlog"),
        ("0.968 a second", "0.968 a second"),
        ("a <b> *c*", "a \\<b\\> \\*c\\*"),
        ("http://x", "http\\://x"),
    ],
)
def test_ordinary_words_can_still_be_read_as_text(words: str, shown: str) -> None:
    """A record is read with `less` as often as in a browser."""
    assert shown == markdown.text(words)


def test_reads_back_as_the_words_that_were_meant() -> None:
    """Escaped is not lost."""
    for words in HOSTILE[:6]:
        assert (
            " ".join(words.split()) == seen(READER.render(f"{markdown.text('x')} {markdown.text(words)}"))[2:]
        )


def test_a_fence_is_longer_than_any_in_its_text() -> None:
    """A stack that holds one does not end the block."""
    assert ["````text", "```", "x", "````"] == markdown.fence("```\nx")
