"""Native stacks by libdw, the library of eu-stack: one process, thread by thread. Called by `child` alone.

A thread is stopped only while its own stack is walked; names are looked up when all of them run again. Programs and
libraries are opened below /proc/PID/root, so that those of a container are its own. Everything here runs in a child:
libdw reads what the process has mapped, which may be anything.
"""

import ctypes
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

MOST_FRAMES = 128

_P = ctypes.c_void_p
_FIND_ELF = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, ctypes.c_char_p, ctypes.c_uint64, _P, _P)
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P)
_MODULE_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, ctypes.c_char_p, ctypes.c_uint64, _P)
_GO_ON, _ENOUGH, _BROKEN = 0, 1, -1


class _Callbacks(ctypes.Structure):
    _fields_ = (
        ("find_elf", _P),
        ("find_debuginfo", _P),
        ("section_address", _P),
        ("debuginfo_path", _P),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Walk:
    """The stack of one thread as addresses, innermost first, and how long the thread stood for it."""

    thread: int
    addresses: tuple[int, ...]
    stopped_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """What is known of an address: `offset` in the file of the module, and its source where that is told."""

    function: str | None
    module: str
    offset: int
    file: str | None
    line: int


class Process:
    """One process, attached to thread by thread. Raises OSError where libdw is absent or may not look."""

    def __init__(self, pid: int) -> None:
        """Read what is mapped, and everything that walking needs; nothing is stopped yet."""
        self._pid = pid
        self._dw = _declared(ctypes.CDLL("libdw.so.1"))
        self._libc = ctypes.CDLL(None)
        self._libc.strdup.restype = _P
        self._default = _FIND_ELF(("dwfl_linux_proc_find_elf", self._dw))
        self._find = _FIND_ELF(self._find_elf)  # kept: libdw calls it later
        self._callbacks = _Callbacks(
            ctypes.cast(self._find, _P), ctypes.cast(self._dw.dwfl_standard_find_debuginfo, _P), None, None
        )
        self._dwfl = self._dw.dwfl_begin(ctypes.byref(self._callbacks))
        self._check(self._dw.dwfl_linux_proc_report(self._dwfl, pid))
        self._check(self._dw.dwfl_report_end(self._dwfl, None, None))
        self._check(self._dw.dwfl_linux_proc_attach(self._dwfl, pid, 0))
        self._warm_up()

    def walks(
        self, may_stop: Callable[[int], bool], before: Callable[[], None], after: Callable[[], None]
    ) -> list[Walk]:
        """The stacks of its threads, of those that `may_stop` allows; `before` and `after` stand around each stop."""
        found: list[Walk] = []
        addresses: list[int] = []

        def on_frame(state: int, _argument: int) -> int:
            address, activation = ctypes.c_uint64(), ctypes.c_bool()
            if not self._dw.dwfl_frame_pc(state, ctypes.byref(address), ctypes.byref(activation)):
                return _BROKEN
            # A return address is that of the next instruction, which may be another line.
            addresses.append(address.value - (not activation.value))
            return _GO_ON if len(addresses) < MOST_FRAMES else _ENOUGH

        def on_thread(thread: int, _argument: int) -> int:
            number = self._dw.dwfl_thread_tid(thread)
            if may_stop(number):
                addresses.clear()
                began = time.perf_counter()
                before()
                self._dw.dwfl_thread_getframes(thread, frame, None)
                after()
                if addresses:
                    found.append(Walk(number, tuple(addresses), time.perf_counter() - began))
            return _GO_ON

        frame = _CALLBACK(on_frame)
        self._dw.dwfl_getthreads(self._dwfl, _CALLBACK(on_thread), None)
        return found

    def place(self, address: int) -> Place:
        """What stands there."""
        module = self._dw.dwfl_addrmodule(self._dwfl, address)
        if not module:
            return Place(None, "", address, None, 0)
        start = ctypes.c_uint64()
        path = self._dw.dwfl_module_info(module, None, ctypes.byref(start), *[None] * 5) or b""
        name = self._dw.dwfl_module_addrname(module, address)
        file, line = self._source(module, address)
        function = name.decode(errors="replace") if name else None
        return Place(function, path.decode(errors="replace"), address - start.value, file, line)

    def _source(self, module: int, address: int) -> tuple[str | None, int]:
        entry = self._dw.dwfl_module_getsrc(module, address)
        if not entry:
            return None, 0
        line = ctypes.c_int()
        file = self._dw.dwfl_lineinfo(entry, None, ctypes.byref(line), None, None, None)
        return (file.decode(errors="replace") if file else None), line.value

    def _find_elf(self, module: int, user: int, name: bytes, *places: int) -> int:
        """The descriptor of a mapped file as the process sees it; -1 lets libdw read it from memory."""
        base, file, elf = places
        if not name.startswith(b"/"):
            return int(self._default(module, user, name, base, file, elf))
        try:
            found = os.open(f"/proc/{self._pid}/root".encode() + name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return -1
        ctypes.cast(file, ctypes.POINTER(_P))[0] = self._libc.strdup(name)
        return found

    def _warm_up(self) -> None:
        """Read the tables that walking needs now, and not while a thread stands."""

        def on_module(module: int, _user: int, _name: bytes, _base: int, _argument: int) -> int:
            bias = ctypes.c_uint64()
            if not self._dw.dwfl_module_eh_cfi(module, ctypes.byref(bias)):
                self._dw.dwfl_module_dwarf_cfi(module, ctypes.byref(bias))
            return _GO_ON

        self._dw.dwfl_getmodules(self._dwfl, _MODULE_CALLBACK(on_module), None, 0)

    def _check(self, result: int) -> None:
        if result > 0:
            raise OSError(result, os.strerror(result))
        if result < 0:
            raise OSError(0, (self._dw.dwfl_errmsg(-1) or b"?").decode(errors="replace"))


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of what is called: pointers would be cut to 32 bits without."""
    for name, result, arguments in _functions():
        function = library[name]
        function.restype, function.argtypes = result, arguments
        setattr(library, name, function)
    return library


def _functions() -> Iterator[tuple[str, Any, list[Any]]]:
    number, text, wide = ctypes.c_int, ctypes.c_char_p, ctypes.c_uint64
    yield "dwfl_begin", _P, [_P]
    yield "dwfl_errmsg", text, [number]
    yield "dwfl_linux_proc_report", number, [_P, number]
    yield "dwfl_report_end", number, [_P, _P, _P]
    yield "dwfl_linux_proc_attach", number, [_P, number, ctypes.c_bool]
    yield "dwfl_getmodules", ctypes.c_ssize_t, [_P, _MODULE_CALLBACK, _P, ctypes.c_ssize_t]
    yield "dwfl_module_eh_cfi", _P, [_P, _P]
    yield "dwfl_module_dwarf_cfi", _P, [_P, _P]
    yield "dwfl_getthreads", number, [_P, _CALLBACK, _P]
    yield "dwfl_thread_tid", number, [_P]
    yield "dwfl_thread_getframes", number, [_P, _CALLBACK, _P]
    yield "dwfl_frame_pc", ctypes.c_bool, [_P, _P, _P]
    yield "dwfl_addrmodule", _P, [_P, wide]
    yield "dwfl_module_info", text, [_P] * 8
    yield "dwfl_module_addrname", text, [_P, wide]
    yield "dwfl_module_getsrc", _P, [_P, wide]
    yield "dwfl_lineinfo", text, [_P] * 6
