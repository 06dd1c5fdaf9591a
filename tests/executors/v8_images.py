"""Memory that looks like V8's, to be spoilt: objects, frames and a stack at addresses of our own; no claims here."""

from __future__ import annotations

import struct

from lastack.executors.thread_dump.node import memories, metadata, walks

# Values as Node.js 20 has them.
SYMBOLS = {
    "HeapObjectTag": 1,
    "HeapObjectTagMask": 3,
    "SmiTag": 0,
    "SmiTagMask": 1,
    "SmiShiftSize": 31,
    "SmiValueShift": 1,
    "SystemPointerSize": 8,
    "TaggedSize": 8,
    "FirstNonstringType": 128,
    "StringRepresentationMask": 7,
    "StringEncodingMask": 8,
    "OneByteStringTag": 8,
    "SeqStringTag": 0,
    "ConsStringTag": 1,
    "ExternalStringTag": 2,
    "SlicedStringTag": 3,
    "ThinStringTag": 5,
    "class_HeapObject__map__Map": 0,
    "class_Map__instance_type__uint16_t": 12,
    "class_String__length__int32_t": 12,
    "class_SeqOneByteString__chars__char": 16,
    "class_SeqTwoByteString__chars__char": 16,
    "class_ConsString__first__String": 16,
    "class_ConsString__second__String": 24,
    "class_ThinString__actual__String": 16,
    "class_SlicedString__parent__String": 16,
    "class_SlicedString__offset__SMI": 24,
    "class_ExternalString__resource__Object": 16,
    "class_JSFunction__shared__SharedFunctionInfo": 24,
    "class_SharedFunctionInfo__function_data__Object": 8,
    "class_SharedFunctionInfo__name_or_scope_info__Object": 16,
    "class_SharedFunctionInfo__script_or_debug_info__HeapObject": 32,
    "class_Script__source__Object": 8,
    "class_Script__name__Object": 16,
    "class_FixedArrayBase__length__SMI": 8,
    "class_BytecodeArray__data__uintptr_t": 54,
    "class_UncompiledData__start_position__int32_t": 16,
    "class_UncompiledData__inferred_name__String": 8,
    "off_fp_context_or_frame_type": -8,
    "off_fp_function": -16,
    "off_fp_bytecode_array": -32,
    "off_fp_bytecode_offset": -40,
    "scopeinfo_idx_ncontextlocals": 2,
    "scopeinfo_idx_first_vars": 3,
    "type_Map__MAP_TYPE": 255,
    "type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE": 262,
    "type_Script__SCRIPT_TYPE": 167,
    "type_ScopeInfo__SCOPE_INFO_TYPE": 261,
    "type_BytecodeArray__BYTECODE_ARRAY_TYPE": 191,
    "type_ByteArray__BYTE_ARRAY_TYPE": 190,
    "type_UncompiledDataWithPreparseData__UNCOMPILED_DATA_WITH_PREPARSE_DATA_TYPE": 220,
    "frametype_EntryFrame": 1,
    "frametype_ExitFrame": 3,
    "frametype_WasmFrame": 4,
    "frametype_InternalFrame": 22,
}
LAYOUT = metadata.layout(SYMBOLS, 1)
FUNCTION, CONTEXT = 2066, 206
ONE_BYTE, TWO_BYTE, CONS, SLICED, THIN, EXTERNAL = 40, 32, 41, 43, 45, 42

HEAP, STACK, STACK_BYTES, CODE = 0x10000, 0x7F0000000000, 0x4000, (0x400000, 0x500000)
_HEAP_BYTES = 0x10000


class Image:
    """Heap and stack; `frame` is the frame pointer of the innermost frame, once there is one."""

    def __init__(self) -> None:
        self.heap = bytearray(_HEAP_BYTES)
        self.stack = bytearray(STACK_BYTES)
        self.frame = 0
        self._end = 64
        self._top = STACK + STACK_BYTES - 64
        self._map_of_maps = self._room(40)
        self.put(self._map_of_maps, self._map_of_maps)
        self.put_half(self._map_of_maps + 12, 255)

    def read(self, address: int, size: int) -> bytes:
        """As a process would be read."""
        for start, content in ((HEAP, self.heap), (STACK, self.stack)):
            if start <= address < start + len(content):
                return bytes(content[address - start : address - start + size])
        return b""

    def walked(self, registers: walks.Registers | None = None) -> walks.Stack:
        """The stack, from the innermost frame on."""
        ground = walks.Ground(
            low=STACK,
            high=STACK + STACK_BYTES,
            writable=[(HEAP, HEAP + _HEAP_BYTES), (STACK, STACK + STACK_BYTES)],
            executable=[CODE],
            generated=[CODE],
        )
        found = registers or walks.Registers(CODE[0], self.frame)
        return walks.walk(memories.Memory(self.read), LAYOUT, ground, found)

    def put(self, tagged: int, *words: int) -> None:
        """Words of an object, from its start on."""
        self.put_at(tagged - 1, *words)

    def put_at(self, address: int, *words: int) -> None:
        """Words anywhere."""
        content = struct.pack(f"<{len(words)}Q", *(word & (1 << 64) - 1 for word in words))
        for start, place in ((HEAP, self.heap), (STACK, self.stack)):
            if start <= address < start + len(place):
                place[address - start : address - start + len(content)] = content

    def put_half(self, at: int, value: int) -> None:
        """Two bytes of an object; `at` is a tagged pointer plus an offset."""
        struct.pack_into("<H", self.heap, at - 1 - HEAP, value)

    def object(self, kind: int, *words: int) -> int:
        """A new one, with a map of its own."""
        of_kind = self._room(40)
        self.put(of_kind, self._map_of_maps)
        self.put_half(of_kind + 12, kind)
        found = self._room(8 + 8 * max(len(words), 4))
        self.put(found, of_kind, *words)
        return found

    def string(self, text: str, kind: int = ONE_BYTE) -> int:
        """One in one piece."""
        content = text.encode("latin-1" if kind == ONE_BYTE else "utf-16-le")
        found = self.object(kind, len(text) << 32, *[0] * (len(content) // 8 + 1))
        start = found - 1 - HEAP + 16
        self.heap[start : start + len(content)] = content
        return found

    def composed(self, kind: int, length: int, *words: int) -> int:
        """A string that refers to others."""
        return self.object(kind, length << 32, *words)

    def function(self, name: int, script: int) -> int:
        """A function of a script."""
        shared = self.object(262, 0, name, 0, script)
        return self.object(FUNCTION, 0, 0, shared)

    def script(self, name: int, source: int) -> int:
        """A script."""
        return self.object(167, source, name)

    def call(self, function: int, *below: int) -> None:
        """One more frame, called by the innermost one so far."""
        context = self.object(CONTEXT)
        self.mark(context, function, *below)

    def mark(self, mark: int, *below: int) -> None:
        """A frame with this mark."""
        self._top -= 160
        outer = self.frame or STACK + STACK_BYTES - 16
        self.put_at(self._top, outer, CODE[0] + 16)
        for index, word in enumerate((mark, *below), start=1):
            self.put_at(self._top - 8 * index, word)
        self.frame = self._top

    def _room(self, size: int) -> int:
        found = HEAP + self._end
        self._end += (size + 15) // 16 * 16
        assert self._end < _HEAP_BYTES
        return found + 1


def small(value: int) -> int:
    """A small integer as V8 has it."""
    return value << 32
