"""Objects of V8's heap, read from outside: strings, functions, the script and the line. Called by `walks`; pure.

Nothing is believed: an object counts as what its map says that it is, lengths are capped, nesting ends. What is not
what it should be is Torn, and costs one frame or one name.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from lastack.executors.thread_dump.node import memories, metadata, sources

MOST_CHARACTERS = 512
"""Of a name: what is longer is cut."""
_MOST_SOURCE = 16 << 20
_MOST_PARTS = 64
_MOST_TABLE = 1 << 20
_NEAR = 10
"""Slots of a ScopeInfo behind its variables in which the name and the position stand, in one version or another."""
_MOST_LOCALS = 10_000
_FIXED_SLOTS = 3
"""Newer versions have start and end right behind the number of variables, in front of these."""
_OWN_SLOTS = 3
"""Own name, its slot, inferred name."""
_NAMES_INSIDE = 75
"""With more variables than this a ScopeInfo keeps their names elsewhere (V8, kScopeInfoMaxInlinedLocalNamesSize)."""
_POSITION_BITS = (1 << 30) - 1
_MOST_BITS = 70


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """What is known of a function: `position` is that of its head in the source; without a source it is V8's own."""

    name: str
    script: str
    position: int | None
    source: sources.Source | None


class Heap:
    """Reads objects; what costs much is read once."""

    def __init__(self, memory: memories.Memory, layout: metadata.Layout) -> None:
        """`layout` is that of the V8 whose memory it is."""
        self._memory = memory
        self._layout = layout
        self._functions: dict[int, Function] = {}
        self._sources: dict[int, sources.Source] = {}
        self._maps: dict[int, int] = {}

    def is_a(self, tagged: int, name: str) -> bool:
        """Whether it points to an object of this class, by V8's name for it."""
        try:
            return self._type(tagged) in self._layout.types[name]
        except memories.Torn:
            return False

    def is_object(self, tagged: int) -> bool:
        """Whether it points to an object at all: something with a map."""
        try:
            return self.is_a(self._map(tagged), "Map")
        except memories.Torn:
            return False

    def function(self, tagged: int) -> Function:
        """Of a JSFunction. Raises Torn for anything else."""
        shared = self._field(tagged, self._layout.function_shared)
        if shared not in self._functions:
            if not self.is_a(shared, "SharedFunctionInfo"):
                raise memories.Torn("a function")
            self._functions[shared] = self._function(shared)
        return self._functions[shared]

    def position_at(self, bytecodes: int, offset: int) -> int | None:
        """The position in the source of which a bytecode was made; None where its table does not tell.

        `offset` as frames have it, from the tagged pointer on.
        """
        layout = self._layout
        at = offset - (layout.bytecode - 1)
        try:
            length = self._small(self._field(bytecodes, layout.array_length))
            return _position_at(self._position_table(bytecodes), at) if 0 <= at < length else None
        except memories.Torn:
            return None

    def text(self, tagged: int, most: int = MOST_CHARACTERS) -> str:
        """A string, of which at most `most` characters. Raises Torn where it is none."""
        parts: list[str] = []
        left = most
        waiting = [tagged]
        for _ in range(_MOST_PARTS):
            if not waiting or left <= 0:
                break
            one = waiting.pop()
            kind = self._string_type(one)
            if kind & self._layout.representation_mask == self._layout.cons:
                waiting.append(self._field(one, self._layout.cons_second))
                waiting.append(self._field(one, self._layout.cons_first))
                continue
            content, width = self._characters(one, left)
            part = content.decode("latin-1" if width == 1 else "utf-16-le", errors="replace")
            parts.append(part)
            left -= len(part)
        return "".join(parts)

    def _function(self, shared: int) -> Function:
        script, source = self._script(self._field(shared, self._layout.shared_script))
        name, position = self._name_and_position(shared)
        return Function(name, script, position, source)

    def _script(self, tagged: int) -> tuple[str, sources.Source | None]:
        """Name and source; none for what is built in. A function that is debugged has something before its script."""
        if not self.is_a(tagged, "Script"):
            return "", None
        try:
            name = self.text(self._field(tagged, self._layout.script_name))
        except memories.Torn:
            name = "evaluated code"  # eval() and new Function() have no name
        source = self._field(tagged, self._layout.script_source)
        if source not in self._sources:
            try:
                self._sources[source] = sources.Source(*self._source(source))
            except memories.Torn:
                self._sources[source] = sources.Source(b"", 1)
        return name, self._sources[source]

    def _name_and_position(self, shared: int) -> tuple[str, int | None]:
        layout = self._layout
        known = self._field(shared, layout.shared_name)
        if self.is_a(known, "ScopeInfo"):
            return self._of_scope(known)
        try:
            name = self.text(known)
        except memories.Torn:
            name = ""
        compiled = self._field(shared, layout.shared_data)
        if not self.is_a(compiled, "UncompiledData"):
            return name, None
        if not name:
            try:
                name = self.text(self._field(compiled, layout.uncompiled_name))
            except memories.Torn:
                name = ""
        return name, self._memory.number(compiled - 1 + layout.uncompiled_start)

    def _of_scope(self, scope: int) -> tuple[str, int | None]:
        """Name and start. Behind the variables: own name and its slot, inferred name, start and end; any may lack."""
        layout = self._layout
        first = 1 + layout.scope_first
        many = self._small(self._slot(scope, 1 + layout.scope_locals))
        if not 0 <= many <= _MOST_LOCALS:
            raise memories.Torn("variables of a scope")
        # A module has its number of variables in front.
        if many and _is_small(self._slot(scope, first)):
            first += 1
        first += 2 * many if many <= _NAMES_INSIDE else 1 + many
        slots = list(itertools.islice(self._slots(scope, first), _NEAR))
        if layout.scope_first - layout.scope_locals == _FIXED_SLOTS:
            start, end = (
                self._slot(scope, 2 + layout.scope_locals),
                self._slot(scope, 3 + layout.scope_locals),
            )
            # A module has no name, but a number there, and the names of what it exports behind that.
            own = [] if slots and _is_small(slots[0]) else slots[:_OWN_SLOTS]
            return self._first_name(own), self._small(start) if self._is_span(start, end) else None
        for index, (start, end) in enumerate(itertools.pairwise(slots)):
            if self._is_span(start, end):
                return self._first_name(slots[:index]), self._small(start)
        return self._first_name(slots), None

    def _slots(self, scope: int, first: int) -> Iterator[int]:
        """From a slot on, up to the scope around this one."""
        for index in itertools.count(first):
            slot = self._slot(scope, index)
            if self.is_a(slot, "ScopeInfo"):
                return
            yield slot

    def _is_span(self, one: int, other: int) -> bool:
        return (
            _is_small(one) and _is_small(other) and 0 <= self._small(one) < self._small(other) < _MOST_SOURCE
        )

    def _first_name(self, slots: Sequence[int]) -> str:
        for slot in slots:
            try:
                name = self.text(slot)
            except memories.Torn:
                continue
            if name:
                return name
        return ""

    def _source(self, tagged: int) -> tuple[bytes, int]:
        # One that was put together was made flat before it was compiled: everything stands in the first part.
        kind = self._string_type(tagged)
        if kind & self._layout.representation_mask == self._layout.cons:
            tagged = self._field(tagged, self._layout.cons_first)
        return self._characters(tagged, _MOST_SOURCE)

    def _characters(self, tagged: int, most: int) -> tuple[bytes, int]:
        """At most so many characters of a string in one piece, and the bytes of one character."""
        layout, skipped = self._layout, 0
        length = self._memory.number(tagged - 1 + layout.string_length)
        if length < 0:
            raise memories.Torn("the length of a string")
        wanted = min(length, most)
        for _ in range(_MOST_PARTS):
            kind = self._string_type(tagged)
            way = kind & layout.representation_mask
            width = 1 if kind & layout.encoding_mask == layout.one_byte else 2
            if way == layout.thin:
                tagged = self._field(tagged, layout.thin_actual)
            elif way == layout.sliced:
                skipped += max(0, self._small(self._field(tagged, layout.sliced_offset)))
                tagged = self._field(tagged, layout.sliced_parent)
            elif way == layout.sequential:
                chars = layout.one_byte_chars if width == 1 else layout.two_byte_chars
                return self._memory.read(tagged - 1 + chars + skipped * width, wanted * width), width
            elif way == layout.external:
                # Behind the resource V8 keeps where its characters stand.
                data = self._memory.word(tagged - 1 + layout.external_resource + memories.WORD)
                return self._memory.read(data + skipped * width, wanted * width), width
            else:
                break
        raise memories.Torn("a string in one piece")

    def _string_type(self, tagged: int) -> int:
        kind = self._type(tagged)
        if kind >= self._layout.first_nonstring:
            raise memories.Torn("a string")
        return kind

    def _position_table(self, bytecodes: int) -> bytes:
        """One of two tables of bytes among the fields of a bytecode array; the other one is of its handlers.

        It stood behind that until such objects were moved to a space of their own (V8 12), where it stands before it.
        """
        layout = self._layout
        fields = [
            self._field(bytecodes, at)
            for at in range(layout.map + memories.WORD, layout.bytecode - memories.WORD + 1, memories.WORD)
        ]
        trusted = [field for field in fields if self.is_a(field, "TrustedByteArray")]
        plain = [field for field in fields if self.is_a(field, "ByteArray")]
        found = next(iter(trusted or reversed(plain)), None)
        if found is None:
            raise memories.Torn("a table of positions")
        length = self._small(self._field(found, layout.map + memories.WORD))
        if not 0 <= length <= _MOST_TABLE:
            raise memories.Torn("a table of positions")
        return self._memory.read(found - 1 + layout.map + 2 * memories.WORD, length)

    def _type(self, tagged: int) -> int:
        """The number of its class. Raises Torn where it is no object."""
        return self._instance_type(self._map(tagged))

    def _map(self, tagged: int) -> int:
        if not _is_pointer(tagged):
            raise memories.Torn("a pointer")
        found = self._memory.word(tagged - 1 + self._layout.map)
        if not _is_pointer(found):
            raise memories.Torn("a map")
        return found

    def _instance_type(self, of_map: int) -> int:
        if of_map not in self._maps:
            self._maps[of_map] = self._memory.half(of_map - 1 + self._layout.instance_type)
        return self._maps[of_map]

    def _field(self, tagged: int, offset: int) -> int:
        """A field of an object; of one that the collector is moving right now, where it is moved to."""
        if not _is_pointer(tagged):
            raise memories.Torn("a pointer")
        value = self._memory.word(tagged - 1 + offset)
        return self._moved(value) if _is_pointer(value) else value

    def _slot(self, tagged: int, index: int) -> int:
        return self._field(tagged, index * memories.WORD)

    def _moved(self, tagged: int) -> int:
        """Where its map should be, an object that was moved away has its new address, without the mark."""
        try:
            found = self._memory.word(tagged - 1 + self._layout.map)
        except memories.Torn:
            return tagged
        return found + 1 if found and found % memories.WORD == 0 and found >> 32 else tagged

    def _small(self, value: int) -> int:
        """A small integer. Raises Torn where it is none."""
        if not _is_small(value):
            raise memories.Torn("a small integer")
        number = value >> 32
        return number - (1 << 32) if number >> 31 else number


def _is_pointer(value: int) -> bool:
    return value & 3 == 1


def _is_small(value: int) -> bool:
    return value & 0xFFFFFFFF == 0


def _position_at(table: bytes, offset: int) -> int | None:
    """The position in the source of the bytecode at this offset, by V8's table: each entry adds to the one before.

    (V8, source-position-table.cc: an offset, made negative where it is no statement, and a position, both as zigzag
    in groups of seven bits. Offsets begin at the entry of the function, which is -1.)
    """
    numbers = _numbers(table)
    at, value = -1, 0
    found = None
    for step in numbers:
        at += step if step >= 0 else -step - 1
        value += next(numbers, 0)
        if at > offset:
            break
        position = (value >> 1 & _POSITION_BITS) - 1
        found = position if position >= 0 else found
    return found


def _numbers(table: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in table:
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > _MOST_BITS:
            return
        if not byte & 0x80:
            yield (value >> 1) ^ -(value & 1)
            value = shift = 0
