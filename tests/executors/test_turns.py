"""One dump at a time on a host: who comes second waits, and is told by whom in the end."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap

import pytest

LASTACK = pathlib.Path(sys.executable).with_name("lastack")
OWN_RUN = (
    "unshare",
    "--mount",
    "sh",
    "-c",
    'mkdir -p /run/lastack && mount -t tmpfs none /run/lastack && exec "$@"',
)
"""A /run/lastack of its own: other tests take dumps too."""


def in_own_run(code: str, *around: str) -> str:
    """What this code says, with `turns` imported and `hold(PID)` to start a process that holds the turn."""
    head = """
        import os, subprocess, sys, time
        from lastack.executors.thread_dump import turns
        HOLD = "import sys, time\\nfrom lastack.executors.thread_dump import turns\\n"
        HOLD += "turn = turns.take(int(sys.argv[1]), 0)\\nprint('up', flush=True)\\ntime.sleep(600)"
        def hold(pid):
            holder = subprocess.Popen([sys.executable, "-c", HOLD, str(pid)], stdout=subprocess.PIPE, text=True)
            assert holder.stdout.readline() == "up\\n"
            return holder
    """
    argv = [*OWN_RUN, "sh", *around, sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_the_holder_is_named_and_its_end_frees_the_turn() -> None:
    """Also an end by SIGKILL."""
    said = in_own_run("""
        holder = hold(4711)
        found = turns.take(1, 0.05)
        assert isinstance(found, str), found
        assert found.startswith(f"process {holder.pid} (") and found.endswith("is taking a dump of process 4711"), found
        holder.kill(); holder.wait()
        turn = turns.take(1, 0)
        assert isinstance(turn, turns.Turn), turn
        assert isinstance(turns.take(1, 0), str)
        turn.close(); turn.close()
        assert isinstance(turns.take(1, 0), turns.Turn)
        print(oct(os.stat("/run/lastack/dumps.lock").st_mode))
    """)
    assert "0o100600\n" == said


def test_another_user_has_a_turn_of_its_own() -> None:
    """It reaches its own processes only, and must not hold root's dumps up."""
    said = in_own_run(
        "import tempfile\nprint(isinstance(turns.take(1, 0), turns.Turn), os.listdir('/run/lastack'))",
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    )
    assert "True []\n" == said


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ([sys.executable, "-c", "input()"], 3, "was not asked: process"),
        (["sleep", "600"], 0, "was not asked: process"),
    ],
    ids=["nothing-instead", "kernel-instead"],
)
def test_a_dump_that_has_waited_says_who_holds_it(target: list[str], status: int, words: str) -> None:
    """Exit status 3, or the next best thing, which needs no turn; never a wait without end."""
    said = in_own_run(f"""
        target = subprocess.Popen({target!r}, stdin=subprocess.PIPE)
        time.sleep(0.3)
        holder = hold(4711)
        argv = [{str(LASTACK)!r}, "dump", str(target.pid), "--native-stacks", "--count", "1"]
        done = subprocess.run(argv, capture_output=True, text=True)
        target.kill(); holder.kill()
        print(done.returncode, done.stderr.replace("\\n", " "), done.stdout.replace("\\n", " "))
    """)
    assert said.startswith(f"{status} ")
    assert words in said
    assert (
        "is taking a dump of process 4711, for more than 15 s; on a host one dump is taken at a time" in said
    )
    assert "next step: wait for it to end, or end it" in said
    assert ("clock_nanosleep" in said) == (status == 0)


def test_a_folder_of_somebody_else_is_not_used() -> None:
    """In /tmp anybody can make it first; then nobody waits for anybody."""
    code = "from lastack.executors.thread_dump import turns\nprint([turns.take(1, 0) for _ in range(2)])"
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder).chmod(0o777)
        foreign = pathlib.Path(folder) / "lastack-65534"
        foreign.mkdir()
        foreign.chmod(0o777)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code],
            env={**os.environ, "TMPDIR": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        assert 2 == done.stdout.count("Turn object"), done.stderr + done.stdout
        assert [] == list(foreign.iterdir())
