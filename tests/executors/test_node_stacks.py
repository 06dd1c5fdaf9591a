"""JavaScript stacks of real Node.js programs: which function stands where, on what, and the program runs on."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import socket
import subprocess

import psutil
import pytest

from lastack.executors.thread_dump import groups, runtimes, series, stacks
from tests import waiting
from tests.executors import nodes, series_of, worlds

PACKAGE = "module.exports = function wrap(inner) { return function layer() { inner(); }; };\n"
TRUTH = """
Error.stackTraceLimit = 50;
const wrap = require('./node_modules/wrapper');
class Orders {
  constructor(price) { this.price = price; }
  get total() {
    return this.sum([this.price]);
  }
  sum(all) {
    return all.map((one) => one + block()).length;
  }
}
function block() {
  const told = new Error().stack; console.log(told); console.log('ready');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
const named = function namedOne() { return new Orders(3).total; };
setTimeout(
  wrap(() => {
    // a line \u20ac that takes two bytes a character
    [1].forEach(named);
  }),
  10);
"""
CALL = re.compile(r"^    at (?:(?P<name>.*?) \()?(?P<file>[^()]*):(?P<line>\d+):\d+\)?$")


def places(thread: stacks.ThreadStack) -> list[tuple[str, int]]:
    """Its frames with a file, as the language itself would name them."""
    return [(frame.file, frame.line) for frame in thread.frames if frame.file]


class TestTheStack:
    """Names, files and lines."""

    def test_it_is_what_the_language_itself_says(self, tmp_path: pathlib.Path) -> None:
        """Frame by frame, also through packages, getters, arrows, closures, and calls by V8's own functions."""
        package = tmp_path / "node_modules" / "wrapper" / "index.js"
        package.parent.mkdir(parents=True)
        package.write_text(PACKAGE)
        with nodes.running(tmp_path, TRUTH) as patient:
            thread = nodes.main_of(nodes.stands_in(patient.pid, "block (service.js"))
        told = [found for line in patient.said if (found := CALL.match(line))]
        wanted = [
            (found["file"].removeprefix(f"{tmp_path}/").removeprefix("node_modules/"), int(found["line"]))
            for found in told
            if found["file"] != "<anonymous>"
        ]
        assert wanted[0] == ("service.js", 14)
        assert 9 == len(wanted)
        # It stands one line further than it said.
        assert [("service.js", 15), *wanted[1:]] == places(thread)
        names = [frame.function for frame in thread.frames]
        for name in ("block", "sum", "get total", "namedOne", "layer", "map", "forEach"):
            assert name in names, names
        assert ["wrapper/index.js"] == [frame.file for frame in thread.frames if frame.function == "layer"]
        foreign = {frame.file for frame in thread.frames if not frame.application}
        assert {"", "wrapper/index.js", "node:internal/timers"} == foreign

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
    def test_lines_as_the_language_counts_them(self, tmp_path: pathlib.Path, end: str) -> None:
        """Whatever ends them, also behind characters that are two of JavaScript's."""
        lines = [
            "// \U0001f600\U0001f600",
            "function spin() {",
            "  for (;;) {",
            "  }",
            "}",
            "console.log('ready');",
            "spin();",
        ]
        with nodes.running(tmp_path, end.join(lines), options=["--no-opt", "--no-sparkplug"]) as patient:
            nodes.stands_in(patient.pid, "spin (service.js:3)")

    def test_modules_and_names_that_say_nothing(self, tmp_path: pathlib.Path) -> None:
        """An ECMAScript module has a URL; index.js is told with its folder."""
        source = "const spin = () => { for (;;); };\nconsole.log('ready');\nspin();\n"
        with nodes.running(tmp_path, source, name="orders/index.mjs") as patient:
            nodes.stands_in(patient.pid, "spin (orders/index.mjs:1)")

    def test_what_it_is_called_by_whoever_called_it(self, tmp_path: pathlib.Path) -> None:
        """A loop in a regular expression stands where the expression is used."""
        source = (
            "function validate(text) {\n  return /^(a+)+$/.test(text);\n}\n"
            "console.log('ready');\nvalidate('a'.repeat(60) + 'b');\n"
        )
        with nodes.running(tmp_path, source) as patient:
            nodes.stands_in(patient.pid, "validate (service.js:2)")

    def test_webassembly(self, tmp_path: pathlib.Path) -> None:
        """It has no names to read; what called it has."""
        code = "0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,102,0,0,10,9,1,7,0,3,64,12,0,11,11"
        source = (
            f"const code = new Uint8Array([{code}]);\n"
            "const { f } = new WebAssembly.Instance(new WebAssembly.Module(code)).exports;\n"
            "function resize() {\n  f();\n}\nconsole.log('ready');\nresize();\n"
        )
        with nodes.running(tmp_path, source) as patient:
            dump = nodes.stands_in(patient.pid, "resize (service.js:4)")
        assert "WebAssembly" == nodes.main_of(dump).frames[0].function

    def test_functions_with_more_variables_than_others(self, tmp_path: pathlib.Path) -> None:
        """V8 keeps their names elsewhere; a module has its exports beside them, and no name."""
        many = range(90)
        lets = "".join(f"  let v{each} = {each};\n" for each in many)
        source = (
            f"export let {', '.join(f'm{each} = {each}' for each in many)};\n"
            f"function wide() {{\n{lets}"
            f"  const sum = () => {' + '.join(f'v{each}' for each in many)};\n"
            "  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);\n  sum();\n}\n"
            "console.log('ready');\nwide();\n"
        )
        with nodes.running(tmp_path, source, name="wide.mjs") as patient:
            dump = nodes.stands_in(patient.pid, "wide (wide.mjs:94)")
        assert "<anonymous> (wide.mjs:98)" == str(nodes.main_of(dump).frames[1])

    @pytest.mark.parametrize(
        "options",
        [(), ("--jitless",), ("--always-sparkplug",), ("--no-opt",), ("--always-turbofan",), ("--max-lazy",)],
        ids=lambda each: "".join(each) or "default",
    )
    def test_however_its_code_is_made(self, tmp_path: pathlib.Path, options: tuple[str, ...]) -> None:
        """Interpreted, baseline, optimised: the function, and its own line or that of its head."""
        source = (
            "function price(n) {\n  let sum = 0;\n  for (let i = 0; i < n; i++) sum += i % 7;\n  return sum;\n}\n"
            "function prices() {\n  for (;;) {\n    if (price(1e6) < 0) return;\n  }\n}\n"
            "console.log('ready');\nprices();\n"
        )
        lines = {"prices": {6, 7, 8}, "price": {1, 3}}
        with nodes.running(tmp_path, source, options=options) as patient:
            nodes.stands_in(patient.pid, "price")
            for _ in range(5):
                place = nodes.main_of(nodes.looked(patient.pid)).place
                assert place is not None
                assert place.line in lines[place.function], place


class TestWhatItWaitsFor:
    """Below JavaScript, in a call of the system; nothing is stopped for it."""

    def test_a_peer(self, tmp_path: pathlib.Path) -> None:
        """By the descriptor of its call."""
        source = (
            "const ask = () => require('fs').readSync(0, Buffer.alloc(9));\nconsole.log('ready');\nask();\n"
        )
        with socket.create_server(("127.0.0.1", 0)) as backend:
            address = backend.getsockname()
            with (
                socket.create_connection(address) as connection,
                nodes.running(tmp_path, source, stdin=connection.fileno()) as patient,
            ):
                found = nodes.says(
                    patient.pid, f" stands in ask (service.js:1) reading from 127.0.0.1:{address[1]}, "
                )
        assert "downstream" == found.meaning.cause.value

    def test_a_pipe(self, tmp_path: pathlib.Path) -> None:
        """That it is no socket is all that is known."""
        source = (
            "const ask = () => require('fs').readSync(0, Buffer.alloc(9));\nconsole.log('ready');\nask();\n"
        )
        reading, writing = os.pipe()
        try:
            with nodes.running(tmp_path, source, stdin=reading) as patient:
                nodes.says(patient.pid, " stands in ask (service.js:1) reading from a pipe or a file, ")
        finally:
            os.close(reading)
            os.close(writing)

    def test_a_program_that_it_runs(self, tmp_path: pathlib.Path) -> None:
        """It sleeps in a loop of its own then, as one does that rests."""
        source = (
            "const { execSync } = require('child_process');\n"
            "function convert() { execSync('exec sleep 600'); }\nconsole.log('ready');\nconvert();\n"
        )
        with nodes.running(tmp_path, source) as patient:
            nodes.says(patient.pid, " stands in convert (service.js:2) waiting for a program that it runs, ")
            for child in psutil.Process(patient.pid).children():
                child.kill()

    def test_a_lock(self, tmp_path: pathlib.Path) -> None:
        """Atomics.wait() is one."""
        source = (
            "const cell = new Int32Array(new SharedArrayBuffer(4));\n"
            "const lock = () => Atomics.wait(cell, 0, 0);\nconsole.log('ready');\nlock();\n"
        )
        with nodes.running(tmp_path, source) as patient:
            found = nodes.says(patient.pid, " stands in lock (service.js:2) waiting for a lock, ")
        assert "lock" == found.meaning.cause.value

    def test_its_next_event(self, tmp_path: pathlib.Path) -> None:
        """A loop at rest has no stack, and promises that wait in it cannot be seen."""
        source = "setInterval(() => {}, 1e6);\nnew Promise(() => {}).then(() => {});\nconsole.log('ready');\n"
        with nodes.running(tmp_path, source) as patient:
            dump = waiting.wait_until(
                lambda: dump if nodes.main_of(dump := nodes.looked(patient.pid)).rests else None,
                within=worlds.WITHIN,
                what="the loop to rest",
            )
            stopped = voluntary(patient.pid)
            nodes.looked(patient.pid)
            assert stopped == voluntary(patient.pid), "it was woken up"
        found = groups.find([[dump]])
        assert f"; the event loop of process {patient.pid} rests: tasks that wait in it cannot" in found.text


def voluntary(pid: int) -> str:
    """How often its main thread went to sleep."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("voluntary_ctxt_switches"))


class TestASeries:
    """Two dumps, as policies take them."""

    def test_a_loop_that_is_at_another_line_stands_still(self, tmp_path: pathlib.Path) -> None:
        """The functions are the same; what V8 has inside does not count."""
        source = (
            "function busy(all) {\n  for (;;) {\n    all.sort(() => 1);\n    all.reverse();\n    all.slice();\n  }\n}\n"
            "const handle = () => busy([2, 1]);\nconsole.log('ready');\nhandle();\n"
        )
        with nodes.running(tmp_path, source, options=["--no-opt", "--no-sparkplug"]) as patient:

            def told() -> str | None:
                found = groups.find(series_of.taken(patient.pid).rounds)
                return found.text if "busy" in found.text and "unchanged" in found.text else None

            text = waiting.wait_until(told, within=worlds.WITHIN, what="busy")
        assert re.search(
            r"^1 of 1 worker processes stands in busy \(service.js:[2345]\) running, unchanged", text
        )

    def test_a_cluster_is_one_target(self, tmp_path: pathlib.Path) -> None:
        """Each worker is read; the one that only looks after them is none."""
        source = (
            "const cluster = require('cluster');\n"
            "function stall() { for (;;); }\n"
            "if (cluster.isPrimary) { cluster.fork(); cluster.fork(); cluster.on('online', (w) => {\n"
            "  if (w.id === 2) console.log('ready'); }); } else stall();\n"
        )
        with nodes.running(tmp_path, source) as patient:
            children = psutil.Process(patient.pid).children()
            try:

                def told() -> str | None:
                    text = groups.find(series_of.taken(patient.pid).rounds).text
                    return text if "stall" in text and "unchanged" in text else None

                text = waiting.wait_until(told, within=worlds.WITHIN, what="the workers")
            finally:
                for child in children:
                    child.kill()
        assert text.startswith("2 of 2 worker processes stand in stall (service.js:2) running, unchanged"), (
            text
        )

    def test_without_a_stop_it_is_told_as_the_kernel_sees_it(self, tmp_path: pathlib.Path) -> None:
        """And why."""
        with nodes.running(tmp_path, SPINS) as patient:

            def told() -> series.Series | None:
                taken = series_of.taken(patient.pid, max_pause_ms=0)
                return taken if "maxPause is 0" in taken.missing[patient.pid].message else None

            taken = waiting.wait_until(told, within=worlds.WITHIN, what="the reason")
        assert "stands in code of its own, running" in groups.find(taken.rounds).text

    def test_a_node_without_the_symbols_is_told_as_the_kernel_sees_it(self, tmp_path: pathlib.Path) -> None:
        """With what helps by hand."""
        program = tmp_path / "node"
        shutil.copy("/bin/sleep", program)
        with subprocess.Popen([program, "600"]) as process:
            try:

                def told() -> series.Series | None:
                    taken = series_of.taken(process.pid)
                    return taken if "v8dbg" in taken.missing[process.pid].message else None

                taken = waiting.wait_until(told, within=worlds.WITHIN, what="the reason")
            finally:
                process.kill()
        assert "--report-on-signal" in (taken.missing[process.pid].fix or "")
        assert {runtimes.Kind.NODE.value} == {each.runtime for each in taken.rounds[-1]}

    def test_a_program_whose_file_was_replaced(self, tmp_path: pathlib.Path) -> None:
        """It is read from the file that is mapped, which has no name any more."""
        program = tmp_path / "bin" / "node"
        program.parent.mkdir()
        found = shutil.which("node")
        assert found is not None
        shutil.copy(found, program)
        with nodes.running(tmp_path, SPINS, program=program) as patient:
            program.unlink()
            program.write_bytes(b"another one")
            nodes.stands_in(patient.pid, "spin (service.js:1)")


SPINS = "function spin() { for (;;); }\nconsole.log('ready');\nspin();\n"
