"""The Markdown pages of the repository, and how they are read. Used by the tests of this folder."""

import pathlib
import re
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


def every() -> list[pathlib.Path]:
    """Every page that people read: the README, its neighbours, and all of docs/."""
    beside = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    return [*beside, *sorted(DOCS.rglob("*.md"))]


def text(page: pathlib.Path) -> str:
    """What the page says."""
    return page.read_text(encoding="utf-8")


def fenced(page: pathlib.Path, language: str) -> list[str]:
    """The fenced blocks of one language, without their fences and their common indent."""
    found = []
    for indent, name, body in _FENCE.findall(text(page)):
        if name == language:
            found.append("".join(line.removeprefix(indent) for line in body.splitlines(keepends=True)))
    return found


def shell_lines(page: pathlib.Path) -> Iterator[str]:
    """The commands of the ```sh blocks: continued lines joined, comments and empty lines left out."""
    for block in fenced(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"\s#\s.*$", "", line).strip()
            if command and not command.startswith("#"):
                yield command


def links(page: pathlib.Path) -> list[str]:
    """The targets of the page's links, those in fenced blocks left out."""
    return _LINK.findall(_FENCE.sub("", text(page)))


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors of the page's headings, as GitHub makes them."""
    words = (heading.replace("`", "") for heading in _HEADING.findall(_FENCE.sub("", text(page))))
    return {_NOT_IN_ANCHOR.sub("", word.lower()).replace(" ", "-") for word in words}


def first_column(page: pathlib.Path, heading: str) -> list[str]:
    """The code words in the first column of every table below a heading, up to the next of its level."""
    level = heading.split(" ", 1)[0]
    _, found, after = text(page).partition(f"\n{heading}\n")
    assert found, f"{page.relative_to(ROOT)} has no heading {heading!r}"
    section = re.split(rf"^{level} ", after, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)
