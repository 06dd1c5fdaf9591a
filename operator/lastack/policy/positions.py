"""YAML text -> trees of plain values in which every key and value knows its place; called by policy.loading.

Reads the events of libyaml instead of its documents: so a scalar is resolved by the core schema of YAML 1.2
(`off` and `on` are text, `0o17` is 15, `1:30` is text), duplicate keys are seen, and depth and aliases are
bounded while reading. Anything that a policy has no use for (tags, merge keys, keys that are not text) is
a problem with a place and never an exception.
"""

import bisect
import dataclasses
import re
from collections.abc import Iterator

import yaml

from lastack.policy import core_schema, findings, problems

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_NODES = 20_000

_WRITING = "write it out at each place"


@dataclasses.dataclass(frozen=True, slots=True)
class Scalar:
    """Text, number, true, false or nothing."""

    at: problems.Position
    value: str | int | float | bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    at: problems.Position
    items: "tuple[Node, ...]"


@dataclasses.dataclass(frozen=True, slots=True)
class Mapping:
    """Named values; `keys` holds the place of each name."""

    at: problems.Position
    entries: "dict[str, Node]"
    keys: dict[str, problems.Position]


Node = Scalar | Sequence | Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One document of a file. `text` is its exact part of the file, comments around it included."""

    root: Node
    text: str
    at: problems.Position


@dataclasses.dataclass(frozen=True, slots=True)
class Flaw:
    """A problem that does not know its file yet."""

    at: problems.Position
    code: str
    message: str
    hint: str = ""


def plain(node: Node) -> object:
    """The value without places: dict, list, text, number, true, false or None."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {name: plain(entry) for name, entry in node.entries.items()}


def place(root: Node, path: findings.Path, *, of_key: bool = False) -> problems.Position:
    """Where the value at `path` stands, or its key; for what is not there, the nearest key above it."""
    node, at = root, root.at
    for depth, step in enumerate(path):
        last = depth == len(path) - 1
        match node:
            case Mapping() if step in node.entries:
                name = str(step)
                at = node.keys[name]
                node = node.entries[name]
                if last and not of_key:
                    at = node.at
            case Sequence() if isinstance(step, int) and step < len(node.items):
                node = node.items[step]
                at = node.at
            case _:
                return at
    return at


class _Unreadable(Exception):
    """Reading of this file cannot go on; carries the reason."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


def read(content: bytes) -> tuple[tuple[Document, ...], tuple[Flaw, ...]]:
    """Every document of one file, and what is wrong with it as YAML. Documents before a syntax error are kept."""
    text = _decoded(content)
    if isinstance(text, Flaw):
        return (), (text,)
    reader = _Reader(text)
    reader.read()
    return tuple(reader.documents), tuple(reader.flaws)


# What YAML allows in a file; everything else is a binary file or a slip of a tool.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def _decoded(content: bytes) -> str | Flaw:
    if len(content) > MAX_BYTES:
        return Flaw(
            problems.START,
            "file-too-large",
            f"the file is larger than {MAX_BYTES:,} bytes; expected a policy file",
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Flaw(problems.START, "not-utf-8", "the file is UTF-16; expected UTF-8", "save it as UTF-8")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as wrong:
        before = content[: wrong.start].decode("utf-8").removeprefix("\ufeff")
        at = _Lines(before).at(len(before))
        return Flaw(at, "not-utf-8", f"byte 0x{content[wrong.start]:02x} is not UTF-8; expected UTF-8 text")
    text = text.removeprefix("\ufeff")
    found = _FORBIDDEN.search(text)
    if found is not None:
        at = _Lines(text).at(found.start())
        return Flaw(at, "bad-character", f"character U+{ord(found[0]):04X} stands here; expected text")
    return text


def _index(mark: yaml.error.Mark | yaml._yaml.Mark | None) -> int:
    """Where a mark of libyaml stands in the text, in characters; an event without one stands at its start."""
    return 0 if mark is None else int(mark.index)


class _Lines:
    """Index in a text -> line and column, counting lines as editors do."""

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def at(self, index: int) -> problems.Position:
        index = min(index, self._length)
        line = bisect.bisect_right(self._starts, index)
        return problems.Position(line, index - self._starts[line - 1] + 1)


class _Reader:
    """One file, read once from its first event to its last."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = _Lines(text)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._anchors: dict[str, Node | None] = {}
        self._weights: dict[int, tuple[int, int]] = {}
        self._nodes = 0
        self.documents: list[Document] = []
        self.flaws: list[Flaw] = []

    def read(self) -> None:
        """Fill `documents` and `flaws`; an error of the syntax is the last flaw."""
        begun: list[tuple[int, Node]] = []
        try:
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    self._anchors.clear()
                    begun.append((_index(event.start_mark), self._node(next(self._events), 0)[0]))
        except _Unreadable as unreadable:
            self.flaws.append(unreadable.flaw)
        except yaml.MarkedYAMLError as wrong:
            self.flaws.append(self._syntax(wrong))
        # The text of a document runs from its own start to the start of the next; the first owns the head of the file.
        starts = [0, *(index for index, _ in begun[1:]), len(self._text)]
        for (_, root), start, end in zip(begun, starts, starts[1:], strict=False):
            self.documents.append(Document(root, self._text[start:end], root.at))

    def _at(self, event: yaml.Event) -> problems.Position:
        return self._lines.at(_index(event.start_mark))

    def _syntax(self, wrong: yaml.MarkedYAMLError) -> Flaw:
        mark = wrong.problem_mark or wrong.context_mark
        index = _index(mark)
        what = " ".join(part for part in (wrong.context, wrong.problem) if part)
        at = self._lines.at(index)
        begun = self._lines.at(_index(wrong.context_mark or mark)).line
        hint = f"it begins in line {begun}" if begun != at.line else ""
        if self._text[index : index + 1] == "\t":
            hint = "a tab stands here; YAML is indented with spaces"
        return Flaw(at, "yaml-syntax", f"this is not YAML: {what}; expected valid YAML", hint)

    def _node(self, event: yaml.Event, depth: int) -> tuple[Node, int, int]:
        """The value that begins with `event`: itself, its number of nodes and its height."""
        at = self._at(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, at, depth)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)  # noqa: S101 - narrows the type; libyaml sends nothing else here
        self._count(1, depth, at)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.flaws.append(
                Flaw(at, "yaml-tag", f"the tag {problems.bare(tag)} stands here; expected a plain value")
            )
        node: Node
        match event:
            case yaml.ScalarEvent():
                node, weight, height = (
                    Scalar(at, core_schema.resolved(event.value) if event.implicit[0] else event.value),
                    1,
                    0,
                )
            case yaml.SequenceStartEvent():
                node, weight, height = self._sequence(at, depth)
            case _:
                node, weight, height = self._mapping(at, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
            self._weights[id(node)] = (weight, height)
        return node, weight, height

    def _count(self, nodes: int, depth: int, at: problems.Position) -> None:
        self._nodes += nodes
        if depth > MAX_DEPTH:
            flaw = Flaw(
                at, "too-deep", f"values are nested more than {MAX_DEPTH} deep here; expected a policy"
            )
            raise _Unreadable(flaw)
        if self._nodes > MAX_NODES:
            message = f"the file holds more than {MAX_NODES:,} values, aliases written out; expected a policy"
            raise _Unreadable(Flaw(at, "too-large", message))

    def _alias(self, event: yaml.AliasEvent, at: problems.Position, depth: int) -> tuple[Node, int, int]:
        anchor = str(event.anchor)
        name = problems.bare(anchor)
        if anchor not in self._anchors:
            message = f"*{name} stands for nothing; expected an anchor &{name} earlier in this document"
            raise _Unreadable(
                Flaw(at, "unknown-alias", message, problems.did_you_mean(anchor, self._anchors))
            )
        node = self._anchors[anchor]
        if node is None:
            message = f"*{name} stands inside of the value that it repeats; expected a value without itself"
            raise _Unreadable(Flaw(at, "endless-alias", message))
        weight, height = self._weights[id(node)]
        self._count(weight, depth + height, at)
        return dataclasses.replace(node, at=at), weight, height

    def _sequence(self, at: problems.Position, depth: int) -> tuple[Node, int, int]:
        items: list[Node] = []
        weight, height = 1, 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item, nodes, levels = self._node(event, depth + 1)
            items.append(item)
            weight, height = weight + nodes, max(height, levels + 1)
        return Sequence(at, tuple(items)), weight, height

    def _mapping(self, at: problems.Position, depth: int) -> tuple[Node, int, int]:
        mapping = Mapping(at, {}, {})
        weight, height = 1, 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            merge = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<"
            key, key_nodes, key_levels = self._node(event, depth + 1)
            value, nodes, levels = self._node(next(self._events), depth + 1)
            weight, height = weight + key_nodes + nodes, max(height, levels + 1, key_levels + 1)
            self._enter(mapping, key, value, merge=merge)
        return mapping, weight, height

    def _enter(self, mapping: Mapping, key: Node, value: Node, *, merge: bool) -> None:
        """Put one entry into `mapping`, or say why it cannot stand there. The first of two equal keys counts."""
        name = plain(key)
        if merge:
            flaw = Flaw(
                key.at, "merge-key", "the merge key << stands here; expected the fields themselves", _WRITING
            )
            self.flaws.append(flaw)
        elif not isinstance(name, str):
            message = f"a key is {problems.shown(name)}; expected the name of a field"
            self.flaws.append(
                Flaw(key.at, "bad-key", message, "put a name that looks like a number in quotes")
            )
        elif name in mapping.entries:
            first = mapping.keys[name].line
            message = f"{problems.bare(name)} stands twice, first in line {first}; expected each field once"
            self.flaws.append(Flaw(key.at, "duplicate-key", message))
        else:
            mapping.entries[name] = value
            mapping.keys[name] = key.at
