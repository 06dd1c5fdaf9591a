"""V8's own symbols are found in the file that is mapped, whatever became of its name; anything else is refused."""

from __future__ import annotations

import os
import pathlib
import shutil
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack import errors
from lastack.executors.thread_dump.node import metadata
from tests.executors import v8_images

MAPS = """
import ctypes, sys
ctypes.CDLL(sys.argv[1])
print("up", flush=True)
sys.stdin.read()
"""


def reader_of(content: bytes) -> metadata.Reader:
    """Of a whole file."""
    return lambda offset, size: content[offset : offset + size]


def test_the_symbols_of_the_node_that_is_installed() -> None:
    """They are complete."""
    node = shutil.which("node")
    assert node is not None
    found = metadata.symbols(reader_of(pathlib.Path(node).resolve().read_bytes()))
    assert len(found) > 400
    layout = metadata.layout(found, 1)
    assert 8 == layout.shared_data
    assert {"EntryFrame", "ExitFrame"} <= set(layout.frames)


def library(folder: pathlib.Path, symbols: dict[str, int]) -> pathlib.Path:
    """A libnode.so that exports them."""
    lines = [f"const int v8dbg_{name} = {value};" for name, value in symbols.items()]
    (folder / "libnode.c").write_text("\n".join([*lines, "int v8dbg_in_no_file;"]))
    path = folder / "libnode.so.999"
    subprocess.run(["gcc", "-shared", "-fPIC", "-s", "-o", path, folder / "libnode.c"], check=True)
    return path


def test_a_library_that_was_replaced(tmp_path: pathlib.Path) -> None:
    """The one that is mapped is read; one of the same name is not believed."""
    path = library(tmp_path, v8_images.SYMBOLS)
    with subprocess.Popen(
        [sys.executable, "-c", MAPS, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        before = metadata.of_process(process.pid)
        path.unlink()
        shutil.copy("/bin/true", path)
        after = metadata.of_process(process.pid)
        process.kill()
    assert v8_images.LAYOUT == before == after


def test_what_stands_in_no_file_is_zero(tmp_path: pathlib.Path) -> None:
    """A linker leaves zeros out."""
    found = metadata.symbols(reader_of(library(tmp_path, {"HeapObjectTag": 1, "SmiTag": 0}).read_bytes()))
    assert {"HeapObjectTag": 1, "SmiTag": 0, "in_no_file": 0} == found


def test_a_program_without_them_is_refused() -> None:
    """With the next best thing."""
    with pytest.raises(errors.Unsupported, match="holds no v8dbg symbols") as problem:
        metadata.of_process(os.getpid())
    assert "--report-on-signal" in (problem.value.fix or "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"TaggedSize": 4}, "compresses pointers"),
        ({"SmiShiftSize": 0}, "compresses pointers"),
        ({"HeapObjectTag": 3}, "marks pointers in a way"),
        ({"off_fp_function": None}, "does not say off_fp_function"),
        ({"class_Script__name__Object": None}, "does not say class_Script__name"),
        ({"frametype_EntryFrame": None}, "which frames and objects"),
        ({"type_Script__SCRIPT_TYPE": None}, "which frames and objects"),
    ],
)
def test_a_v8_that_is_not_understood_is_refused(change: dict[str, int | None], why: str) -> None:
    """By name: a wrong stack is worse than none."""
    symbols = {**v8_images.SYMBOLS, **change}
    left = {name: value for name, value in symbols.items() if value is not None}
    with pytest.raises(errors.Unsupported, match=why):
        metadata.layout(left, 1)


def test_types_of_another_version_have_other_names() -> None:
    """What follows a field's name is a type of C++, which changes."""
    changed = {
        name.replace("__Object", "__Tagged_Object_").replace("__String", "__Tagged_String_"): value
        for name, value in v8_images.SYMBOLS.items()
    }
    assert v8_images.LAYOUT == metadata.layout(changed, 1)


@given(content=st.binary(max_size=600), cut=st.integers(0, 600))
def test_any_file_at_all(content: bytes, cut: int) -> None:
    """It is no program, or one without symbols."""
    head = b"\x7fELF\x02\x01" + bytes(10) + struct.pack("<HHIQQQIHHHHHH", *[64] * 13)
    for file in (content, head + content, (head + content)[:cut]):
        try:
            found = metadata.symbols(reader_of(file))
        except (ValueError, struct.error):
            continue
        assert {} == found
