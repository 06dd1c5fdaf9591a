"""The state directory: ours alone to write, one writer, and a holder with a name."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from lastack import errors
from lastack.stores import state_dir


def test_is_made_for_its_owner_only(tmp_path: pathlib.Path) -> None:
    """Evidence may hold secrets of the processes it was taken from."""
    found = state_dir.prepare(tmp_path / "a" / "b")
    for folder in (found.path, found.day_folder, found.evidence_folder, found.records_folder):
        assert "0o40700" == oct(folder.stat().st_mode)
    assert found == state_dir.prepare(tmp_path / "a" / "b")


def test_a_second_writer_is_told_who_the_first_is(tmp_path: pathlib.Path) -> None:
    """By pid and command, from another process."""
    found = state_dir.prepare(tmp_path)
    program = (
        "import pathlib, sys, time; from lastack.stores import state_dir\n"
        "with state_dir.locked(state_dir.prepare(pathlib.Path(sys.argv[1]))):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        with (
            pytest.raises(errors.StateHeld, match=rf"is held by pid {holder.pid} \(-c "),
            state_dir.locked(found),
        ):
            pass
        holder.kill()
    with state_dir.locked(found):
        assert f"pid {os.getpid()} " in str(state_dir.holder_of(found))


def test_a_lock_that_says_nothing_is_a_lock_all_the_same(tmp_path: pathlib.Path) -> None:
    """Between taking it and writing into it there is an instant."""
    found = state_dir.prepare(tmp_path)
    assert state_dir.holder_of(found) is None
    with state_dir.locked(found):
        found.lock_file.write_text("rubbish")
        with pytest.raises(errors.StateHeld, match="did not say which"), state_dir.locked(found):
            pass


def test_a_directory_that_others_can_write_is_refused(tmp_path: pathlib.Path) -> None:
    """With the command that puts it right."""
    tmp_path.chmod(0o770)
    with pytest.raises(errors.StateUnusable, match="mode 0770") as refused:
        state_dir.prepare(tmp_path)
    assert f"chmod 0700 {tmp_path}" == refused.value.fix


def test_somebody_elses_directory_is_refused(tmp_path: pathlib.Path) -> None:
    """Needs root to be shown: a folder is given to nobody."""
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(errors.StateUnusable, match="belongs to user 65534"):
        state_dir.prepare(tmp_path)


def test_a_file_in_the_way_is_said(tmp_path: pathlib.Path) -> None:
    """Not a traceback."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.StateUnusable, match="cannot be used"):
        state_dir.prepare(tmp_path / "file" / "state")


def test_reading_where_nothing_was_kept_says_what_to_ask(tmp_path: pathlib.Path) -> None:
    """The directory may be right, and lastack has never run."""
    with pytest.raises(errors.NotReachable, match="no ledger in") as refused:
        state_dir.existing(tmp_path)
    assert f"has `lastack run` run with --state-dir {tmp_path}?" == refused.value.fix


def test_another_user_may_not_look(tmp_path: pathlib.Path) -> None:
    """As nobody: not permitted, and who to be."""
    state_dir.prepare(tmp_path / "state").database.write_bytes(b"")
    program = (
        "import os, pathlib, sys\nfrom lastack import errors\nfrom lastack.stores import state_dir\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: state_dir.existing(pathlib.Path(sys.argv[1]))\n"
        "except errors.NotPermitted as error: print(error.fix)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state")], capture_output=True, text=True, check=True
    )
    assert "run as root, or as the user who owns the state directory\n" == done.stdout


def test_knows_how_much_room_is_left(tmp_path: pathlib.Path) -> None:
    """What an ordinary user could still write."""
    found = os.statvfs(tmp_path)
    room = state_dir.prepare(tmp_path).room()
    assert abs(room - found.f_bavail * found.f_frsize) < 256 * 2**20
