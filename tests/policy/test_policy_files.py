"""Policies on disk: who may have written them, the child that reads them, and a set that is refused whole."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

from lastack.policy import problems
from lastack.stores import policy_files
from tests.policy import documents


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory with one valid policy, both for their owner only."""
    where = tmp_path / "policies.d"
    where.mkdir(mode=0o755)
    put(where / "api.yaml", documents.VALID)
    return where


def put(file: pathlib.Path, text: str, mode: int = 0o644) -> pathlib.Path:
    """Write a file with exactly this mode."""
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def said(found: tuple[problems.Problem, ...], directory: pathlib.Path) -> list[str]:
    """Problems as people read them, without the changing part of the path."""
    return [str(problem).replace(str(directory), "D") for problem in found]


def test_a_set_is_read_with_texts_and_digests(directory: pathlib.Path) -> None:
    """Policies arrive whole, and the text of each is found by its digest."""
    put(directory / "web.yaml", documents.edited(("name: api", "name: web"), ("[8080]", "[8081]")))
    read = policy_files.read_policy_set(directory)

    assert ((), True) == (read.problems, read.usable)
    assert ["api", "web"] == [policy.name for policy in read.policies]
    assert {policy.digest: policy.text for policy in read.policies} == read.texts


def test_the_reading_process_carries_neither_yaml_nor_pydantic(directory: pathlib.Path) -> None:
    """The parse happens in a child: the process that stays is as small after as before."""
    program = f"""
        import pathlib, sys
        from lastack.stores import policy_files
        read = policy_files.read_policy_set(pathlib.Path({str(directory)!r}))
        print([policy.name for policy in read.policies], sorted({{"yaml", "pydantic"}} & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )

    assert "['api'] []\n" == done.stdout


@pytest.mark.parametrize(
    ("mode", "who"),
    [(0o646, "others"), (0o664, "its group"), (0o666, "its group and others"), (0o620, "its group")],
)
def test_a_file_that_others_could_have_written_refuses_the_set(
    directory: pathlib.Path, mode: int, who: str
) -> None:
    """Who writes the policy decides what lastack does."""
    (directory / "api.yaml").chmod(mode)
    read = policy_files.read_policy_set(directory)

    assert not read.usable
    assert [
        (
            f"D/api.yaml:1:1: error: writable by {who} (mode {mode:04o}); expected by its owner only "
            "(chmod go-w D/api.yaml)"
        )
    ] == said(read.problems, directory)


def test_a_directory_that_others_could_write_refuses_the_set(directory: pathlib.Path) -> None:
    """Whoever may put a file there may put a policy there."""
    directory.chmod(0o777)
    read = policy_files.read_policy_set(directory)

    assert [
        "D:1:1: error: writable by its group and others (mode 0777); expected by its owner only (chmod go-w D)"
    ] == said(read.problems, directory)


def test_a_file_of_another_user_is_named() -> None:
    """Root and the user who runs lastack may own a policy, nobody else."""
    us = os.geteuid()
    stranger = us + 12345
    (problem,) = policy_files.insecure("p.yaml", stranger, 0o644, problems.Severity.ERROR)

    assert f"p.yaml:1:1: error: owned by user {stranger}; expected root" in str(problem)
    assert [] == policy_files.insecure("p.yaml", us, 0o644, problems.Severity.ERROR)
    assert [] == policy_files.insecure("p.yaml", 0, 0o400, problems.Severity.ERROR)


def test_one_invalid_policy_makes_the_set_unusable(directory: pathlib.Path) -> None:
    """The caller keeps what was in force; every problem of every file is there."""
    put(directory / "bad.yaml", documents.edited(("name: api", "name: bad"), ("mode: enforce", "mode: off")))
    put(directory / "cut.yaml", "apiVersion: [")
    read = policy_files.read_policy_set(directory)

    assert not read.usable
    assert [("bad-value", 5), ("yaml-syntax", 1)] == [(one.code, one.line) for one in read.problems]


def test_what_is_not_a_policy_file_is_not_read(directory: pathlib.Path) -> None:
    """Backups, hidden files and notes lie there in peace; a .yml gets a warning."""
    for name in ("api.yaml~", ".api.yaml", "README"):
        put(directory / name, "[")
    put(directory / "web.yml", "[")
    read = policy_files.read_policy_set(directory)

    assert read.usable
    assert [
        "D/web.yml:1:1: warning: this file is not read; expected a name that ends in .yaml (did you mean web.yaml?)"
    ] == said(read.problems, directory)


def test_an_empty_directory_is_a_set_without_policies(tmp_path: pathlib.Path) -> None:
    """Nothing to do is allowed, and said."""
    read = policy_files.read_policy_set(tmp_path)

    assert (True, ()) == (read.usable, read.policies)
    assert ["D:1:1: warning: the directory holds no policy file; expected files that end in .yaml"] == said(
        read.problems, tmp_path
    )


def test_a_directory_that_is_not_there_is_a_problem(tmp_path: pathlib.Path) -> None:
    """Missing, or a file: said, not raised."""
    missing = policy_files.read_policy_set(tmp_path / "none")
    file = policy_files.read_policy_set(put(tmp_path / "file", ""))

    assert [
        "D/none:1:1: error: cannot be read: No such file or directory; expected a directory of policy files"
    ] == said(missing.problems, tmp_path)
    assert "D/file:1:1: error: cannot be read: Not a directory; expected a directory of policy files" in said(
        file.problems, tmp_path
    )


def test_things_that_are_no_files_are_not_waited_for(directory: pathlib.Path) -> None:
    """A FIFO without writer, a directory and a dangling link are problems at once."""
    os.mkfifo(directory / "fifo.yaml")
    (directory / "folder.yaml").mkdir()
    (directory / "link.yaml").symlink_to("nowhere")
    read = policy_files.read_policy_set(directory)

    assert [
        "D/fifo.yaml:1:1: error: this is not a file; expected a policy file",
        "D/folder.yaml:1:1: error: this is not a file; expected a policy file",
        "D/link.yaml:1:1: error: cannot be read: No such file or directory; expected a policy file",
    ] == said(read.problems, directory)


def test_a_file_that_fails_in_the_reading_is_a_problem() -> None:
    """As on a broken disk: nothing is mapped at the start of this process's memory."""
    found = policy_files.read_source(pathlib.Path("/proc/self/mem"))

    assert "/proc/self/mem:1:1: error: cannot be read: Input/output error; expected a policy file" == str(
        found
    )


def test_a_huge_file_is_not_read_to_its_end(directory: pathlib.Path) -> None:
    """A gigabyte of holes costs a megabyte."""
    with (directory / "huge.yaml").open("wb") as stream:
        stream.truncate(1 << 30)
    read = policy_files.read_policy_set(directory)

    assert ["file-too-large"] == [problem.code for problem in read.problems]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("#!/bin/sh\necho broken here >&2\nexit 3\n", "ended with status 3 (broken here)"),
        ("#!/bin/sh\nkill -9 $$\n", "was ended by SIGKILL"),
        ("#!/bin/sh\nexec sleep 60\n", "took longer than 0.2 s and was ended"),
        (None, "could not be started: No such file or directory"),
    ],
)
def test_a_reader_that_dies_is_a_problem_of_the_directory(
    directory: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str | None,
    expected: str,
) -> None:
    """Killed, hung, broken or missing: the set is refused with how it ended, and nothing is raised."""
    reader = tmp_path / "reader"
    if program is not None:
        put(reader, program, 0o755)
    monkeypatch.setattr(sys, "executable", str(reader))
    monkeypatch.setattr(policy_files, "CHILD_SECONDS", 0.2 if "sleep" in (program or "") else 30.0)
    read = policy_files.read_policy_set(directory)

    assert [
        (
            f"D:1:1: error: the process that reads policies {expected}; expected the policies of this directory "
            "(the policies in force stay; try again)"
        )
    ] == said(read.problems, directory)
    assert () == read.policies
