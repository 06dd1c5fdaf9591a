"""What V8 says of its own objects, from the file that a process has mapped. Called by `child`; parsing is pure.

Node.js exports integers called `v8dbg_*` for debuggers that look at dead processes: where a field stands in an object,
which number a type has, where a frame keeps its function (V8, tools/gen-postmortem-metadata.py). They stand in the
program's file, or in libnode.so where a distribution links that, among the symbols that stripping leaves.
"""

import array
import dataclasses
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator, Mapping

from lastack import errors
from lastack.engine import samples
from lastack.executors.thread_dump import runtimes
from lastack.kernel import procfs

Reader = Callable[[int, int], bytes]
"""`size` bytes of a file from an offset; fewer where it ends."""

_PREFIX = b"v8dbg_"
_NAME = re.compile(rb"v8dbg_(\w{1,200})\0")
_MOST_BYTES = 64 << 20
_MOST_SECTIONS = 1000
_ELF = struct.Struct("<16xHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_VALUE = struct.Struct("<i")
_MAGIC = b"\x7fELF\x02\x01"
_LOADED = 1
_SYMBOL_TABLES = (11, 2)
"""Types of sections: .dynsym first, which every program has that is linked so; .symtab, which stripping takes away."""
_LIBRARY = re.compile(rb"/libnode\.so(?:\.\d+)*$")


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Where V8 keeps what a stack is told from. Offsets in bytes from the start of an object, or from the frame.

    `types` are the numbers of kinds of objects by V8's name of the class ("Script"), `frames` those of kinds of frames
    ("EntryFrame").
    """

    map: int
    instance_type: int
    string_length: int
    one_byte_chars: int
    two_byte_chars: int
    cons_first: int
    cons_second: int
    thin_actual: int
    sliced_parent: int
    sliced_offset: int
    external_resource: int
    function_shared: int
    shared_name: int
    shared_script: int
    shared_data: int
    script_source: int
    script_name: int
    array_length: int
    bytecode: int
    uncompiled_start: int
    uncompiled_name: int
    frame_context: int
    frame_function: int
    frame_bytecode: int
    frame_bytecode_offset: int
    scope_locals: int
    scope_first: int
    first_nonstring: int
    representation_mask: int
    encoding_mask: int
    one_byte: int
    sequential: int
    cons: int
    external: int
    sliced: int
    thin: int
    types: Mapping[str, frozenset[int]]
    frames: Mapping[str, int]


_WANTED: Mapping[str, tuple[str, ...]] = {
    "map": ("class_HeapObject__map__",),
    "instance_type": ("class_Map__instance_type__",),
    "string_length": ("class_String__length__",),
    "one_byte_chars": ("class_SeqOneByteString__chars__",),
    "two_byte_chars": ("class_SeqTwoByteString__chars__",),
    "cons_first": ("class_ConsString__first__",),
    "cons_second": ("class_ConsString__second__",),
    "thin_actual": ("class_ThinString__actual__",),
    "sliced_parent": ("class_SlicedString__parent__",),
    "sliced_offset": ("class_SlicedString__offset__",),
    "external_resource": ("class_ExternalString__resource__",),
    "function_shared": ("class_JSFunction__shared__",),
    "shared_name": ("class_SharedFunctionInfo__name_or_scope_info__",),
    "shared_script": (
        "class_SharedFunctionInfo__script_or_debug_info__",
        "class_SharedFunctionInfo__raw_script__",
        "class_SharedFunctionInfo__script__",
    ),
    # Some versions do not say it: it has been the first field for as long as there was such metadata.
    "shared_data": ("class_SharedFunctionInfo__function_data__", "class_HeapObject__map__"),
    "script_source": ("class_Script__source__",),
    "script_name": ("class_Script__name__",),
    "array_length": ("class_BytecodeArray__length__", "class_FixedArrayBase__length__"),
    "bytecode": ("class_BytecodeArray__data__",),
    "uncompiled_start": ("class_UncompiledData__start_position__",),
    "uncompiled_name": ("class_UncompiledData__inferred_name__",),
    "frame_context": ("off_fp_context_or_frame_type", "off_fp_context"),
    "frame_function": ("off_fp_function",),
    "frame_bytecode": ("off_fp_bytecode_array",),
    "frame_bytecode_offset": ("off_fp_bytecode_offset",),
    "scope_locals": ("scopeinfo_idx_ncontextlocals",),
    "scope_first": ("scopeinfo_idx_first_vars",),
    "first_nonstring": ("FirstNonstringType",),
    "representation_mask": ("StringRepresentationMask",),
    "encoding_mask": ("StringEncodingMask",),
    "one_byte": ("OneByteStringTag",),
    "sequential": ("SeqStringTag",),
    "cons": ("ConsStringTag",),
    "external": ("ExternalStringTag",),
    "sliced": ("SlicedStringTag",),
    "thin": ("ThinStringTag",),
}
"""Field of Layout -> how its symbol begins: what follows is the C++ type, which changes from version to version."""
_TYPES = (
    "Map",
    "SharedFunctionInfo",
    "Script",
    "ScopeInfo",
    "BytecodeArray",
    "ByteArray",
    "TrustedByteArray",
)
_UNCOMPILED = "UncompiledData"
_FIXED = {"HeapObjectTag": 1, "HeapObjectTagMask": 3, "SmiTag": 0, "SmiTagMask": 1}
"""How V8 marks pointers and small integers; another way would make everything here wrong."""


def of_process(pid: int) -> Layout:
    """The layout of the V8 in a process, from its program or its libnode.so, also where the file was replaced.

    Raises Unsupported where there is no such metadata, or where it tells of a V8 that is not understood here.
    """
    descriptor = _opened(pid)
    try:

        def read(offset: int, size: int) -> bytes:
            return os.pread(descriptor, min(size, _MOST_BYTES), offset)

        found = symbols(read)
    except (OSError, OverflowError, ValueError, struct.error) as problem:
        raise _without(pid, f"its program could not be read: {problem}") from problem
    finally:
        os.close(descriptor)
    return layout(found, pid)


def symbols(read: Reader) -> dict[str, int]:
    """Every `v8dbg_*` integer of a 64-bit ELF file, by its name without the prefix; empty where there is none.

    Raises ValueError or struct.error where it is no such file.
    """
    head = read(0, _ELF.size)
    if not head.startswith(_MAGIC):
        raise ValueError("it is no 64-bit little-endian ELF file")
    fields = _ELF.unpack(head)
    segments_at, sections_at, segments, sections = fields[4], fields[5], fields[9], fields[11]
    if sections > _MOST_SECTIONS or segments > _MOST_SECTIONS:
        raise ValueError("it has more sections than any program")
    tables = list(_SECTION.iter_unpack(read(sections_at, sections * _SECTION.size)))
    loaded = [
        (address, offset, size)
        for kind, _, offset, address, _, size, _, _ in _SEGMENT.iter_unpack(
            read(segments_at, segments * _SEGMENT.size)
        )
        if kind == _LOADED
    ]
    for wanted in _SYMBOL_TABLES:
        for _, kind, _, _, offset, size, link, *_ in tables:
            if kind == wanted and link < len(tables):
                names = read(tables[link][4], tables[link][5])
                found = dict(_named(names, read(offset, size), loaded, read))
                if found:
                    return found
    return {}


def layout(found: Mapping[str, int], pid: int) -> Layout:
    """The layout in the symbols. Raises Unsupported, with the reason, where they are not understood."""
    if not found:
        raise _without(pid, "its program holds no v8dbg symbols")
    pointer, tagged = found.get("SystemPointerSize", 8), found.get("TaggedSize", 8)
    if tagged != pointer or found.get("SmiShiftSize", 31) + found.get("SmiValueShift", 1) != 32:
        raise _without(pid, "its V8 compresses pointers, which is not understood here")
    if any(found.get(name, value) != value for name, value in _FIXED.items()):
        raise _without(pid, "its V8 marks pointers in a way that is not understood here")
    values = {}
    for field, prefixes in _WANTED.items():
        value = _first(found, prefixes)
        if value is None:
            raise _without(pid, f"its V8 does not say {prefixes[0].rstrip('_')}")
        values[field] = value
    if "shared_data" in values and values["shared_data"] == values["map"]:
        values["shared_data"] = values["map"] + pointer
    types = {name: _type(found, f"type_{name}__") for name in _TYPES}
    types[_UNCOMPILED] = _type(found, f"type_{_UNCOMPILED}With")
    frames = {
        name.removeprefix("frametype_"): value
        for name, value in found.items()
        if name.startswith("frametype_")
    }
    if "EntryFrame" not in frames or not types["SharedFunctionInfo"] or not types["Script"]:
        raise _without(pid, "its V8 does not say which frames and objects it has")
    return Layout(**values, types=types, frames=frames)


def _first(found: Mapping[str, int], prefixes: tuple[str, ...]) -> int | None:
    for prefix in prefixes:
        values = [value for name, value in found.items() if name.startswith(prefix)]
        if values:
            return values[0]
    return None


def _type(found: Mapping[str, int], prefix: str) -> frozenset[int]:
    return frozenset(value for name, value in found.items() if name.startswith(prefix))


def _named(
    names: bytes, table: bytes, loaded: list[tuple[int, int, int]], read: Reader
) -> Iterator[tuple[str, int]]:
    """Among a hundred thousand symbols those few: first where their names stand, then which symbols point there."""
    wanted = {match.start(): match[1].decode() for match in _NAME.finditer(names)}
    if not wanted:
        return
    words = array.array("I", table[: len(table) // _SYMBOL.size * _SYMBOL.size])
    if sys.byteorder != "little":
        words.byteswap()
    for index, name_at in enumerate(words[:: _SYMBOL.size // words.itemsize]):
        name = wanted.get(name_at)
        if name is None:
            continue
        _, _, _, section, address, _ = _SYMBOL.unpack_from(table, index * _SYMBOL.size)
        if section == 0:
            continue  # it is wanted here, and defined elsewhere
        for start, offset, size in loaded:
            if start <= address <= start + size - _VALUE.size:
                yield name, _VALUE.unpack(read(offset + address - start, _VALUE.size))[0]
                break
        else:
            yield name, 0  # what stands in no file begins as zero


def _opened(pid: int) -> int:
    """The mapped file itself, and not what has its name now."""
    maps = procfs.read(f"/proc/{pid}/maps")
    if isinstance(maps, samples.Missing):
        kind = errors.NotReachable if maps.fix is None else errors.NotPermitted
        raise kind(f"process {pid}: {maps.why}", fix=maps.fix)
    flags = os.O_RDONLY | os.O_CLOEXEC
    for line in maps.splitlines():
        span, _, _, device, inode, *path = line.split(maxsplit=5)
        name = path[0].removesuffix(b" (deleted)") if path else b""
        if not _LIBRARY.search(name):
            continue
        for place in (f"/proc/{pid}/map_files/{span.decode()}".encode(), f"/proc/{pid}/root".encode() + name):
            try:
                descriptor = os.open(place, flags)
            except OSError:
                continue  # map_files wants more rights than the file itself
            facts = os.fstat(descriptor)
            major, minor = (int(part, 16) for part in device.split(b":"))
            if facts.st_ino == int(inode) and (os.major(facts.st_dev), os.minor(facts.st_dev)) == (
                major,
                minor,
            ):
                return descriptor
            os.close(descriptor)
        raise _without(
            pid, f"{name.decode(errors='replace')} was replaced and cannot be opened as it was mapped"
        )
    try:
        return os.open(f"/proc/{pid}/exe", flags)
    except OSError as problem:
        raise _without(pid, f"its program cannot be opened: {problem.strerror}") from problem


def _without(pid: int, why: str) -> errors.Unsupported:
    return errors.Unsupported(
        f"the JavaScript of process {pid} cannot be read: {why}; it is told as the kernel sees it",
        fix=runtimes.NODE_BY_HAND,
    )
