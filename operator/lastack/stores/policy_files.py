"""Policy files on disk: who may have written them, what they say; called by bootstrap (`run`) and cli (`check`).

`read_policy_set` parses and validates in a short-lived child process, so that the process that stays never carries
pydantic and yaml. Whatever is wrong, with a file or with the reading, is a problem and never an exception: the
caller refuses the set and keeps the policies in force.
"""

import contextlib
import dataclasses
import os
import pathlib
import pickle
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping

from lastack.policy import problems, valid

LARGEST = 1_000_001
"""Bytes read of a file: one more than the largest that policy.positions accepts, so that it says so."""

CHILD_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class PolicySet:
    """The policies of a directory. With an error among the problems none may be used.

    `texts` holds for each digest of a policy the exact text that it is the SHA-256 of.
    """

    policies: tuple[valid.Policy, ...]
    problems: tuple[problems.Problem, ...]
    texts: Mapping[str, str]

    @property
    def usable(self) -> bool:
        """No problem is an error."""
        return not problems.has_errors(self.problems)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One file as read: its content, and who may change it."""

    name: str
    content: bytes
    owner: int
    mode: int


def read_policy_set(directory: pathlib.Path) -> PolicySet:
    """Read `directory`/*.yaml for `lastack run`; files that others could have written are errors."""
    found: list[problems.Problem] = []
    try:
        of_directory = directory.stat()
    except OSError as failed:
        return _refused(_unreadable(str(directory), failed, "a directory of policy files"))
    found += insecure(str(directory), of_directory.st_uid, of_directory.st_mode, problems.Severity.ERROR)
    files, unread = directory_files(directory)
    found += unread
    sources: dict[str, bytes] = {}
    for file in files:
        source = read_source(file)
        if isinstance(source, problems.Problem):
            found.append(source)
        else:
            found += insecure(source.name, source.owner, source.mode, problems.Severity.ERROR)
            sources[source.name] = source.content
    policies, wrong = _load_in_child(str(directory), sources)
    texts = {policy.digest: policy.text for policy in policies}
    return PolicySet(policies, tuple(sorted([*found, *wrong])), texts)


def directory_files(directory: pathlib.Path) -> tuple[list[pathlib.Path], list[problems.Problem]]:
    """The policy files of a directory in order of name, and warnings about what looks like one and is not read."""
    try:
        entries = sorted(directory.iterdir())
    except OSError as failed:
        return [], [_unreadable(str(directory), failed, "a directory of policy files")]
    files = [entry for entry in entries if entry.suffix == ".yaml" and not entry.name.startswith(".")]
    ignored = [
        _problem(
            str(entry),
            "ignored-file",
            "this file is not read; expected a name that ends in .yaml",
            hint=f"did you mean {entry.stem}.yaml?",
            severity=problems.Severity.WARNING,
        )
        for entry in entries
        if entry.suffix == ".yml"
    ]
    if not files:
        message = "the directory holds no policy file; expected files that end in .yaml"
        ignored.append(_problem(str(directory), "no-policies", message, severity=problems.Severity.WARNING))
    return files, ignored


def read_source(file: pathlib.Path) -> Source | problems.Problem:
    """Read one file and look at the very file that was read; a FIFO or device is not waited for."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failed:
        return _unreadable(str(file), failed, "a policy file")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _problem(str(file), "unreadable-file", "this is not a file; expected a policy file")
        with open(descriptor, "rb", closefd=False) as stream:
            content = stream.read(LARGEST)
    except OSError as failed:
        return _unreadable(str(file), failed, "a policy file")
    finally:
        os.close(descriptor)
    return Source(str(file), content, status.st_uid, status.st_mode)


def insecure(name: str, owner: int, mode: int, severity: problems.Severity) -> list[problems.Problem]:
    """What is wrong with owner and mode of a policy file or directory: others could decide what lastack does."""
    found = []
    us = os.geteuid()
    if owner not in {0, us}:
        message = f"owned by user {owner}; expected root" + (f" or user {us}, who runs lastack" if us else "")
        found.append(_problem(name, "insecure-permissions", message, f"chown root {name}", severity))
    if mode & 0o022:
        who = "its group and others" if mode & 0o022 == 0o022 else "others" if mode & 0o002 else "its group"
        message = f"writable by {who} (mode {stat.S_IMODE(mode):04o}); expected by its owner only"
        found.append(_problem(name, "insecure-permissions", message, f"chmod go-w {name}", severity))
    return found


def _load_in_child(
    directory: str, sources: Mapping[str, bytes]
) -> tuple[tuple[valid.Policy, ...], tuple[problems.Problem, ...]]:
    """Policies and problems of the sources, from a child in isolated mode that ends at once."""
    command = [sys.executable, "-I", "-m", "lastack.stores.policy_child"]
    try:
        done = subprocess.run(
            command,
            input=pickle.dumps(dict(sources)),
            capture_output=True,
            timeout=CHILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        why = f"took longer than {CHILD_SECONDS:g} s and was ended"
    except OSError as failed:
        why = f"could not be started: {failed.strerror}"
    else:
        if done.returncode == 0:
            # Policies and problems only: a class of loading would bring yaml and pydantic into this process.
            policies, found = pickle.loads(done.stdout)  # noqa: S301 - written by our own child, over our own pipe
            return policies, found
        why = _ending(done.returncode, done.stderr)
    message = f"the process that reads policies {why}; expected the policies of this directory"
    return (), (_problem(directory, "reader-failed", message, "the policies in force stay; try again"),)


def _ending(code: int, stderr: bytes) -> str:
    """How the child ended, with the last line that it wrote."""
    how = f"ended with status {code}"
    if code < 0:
        how = f"was ended by signal {-code}"
        with contextlib.suppress(ValueError):
            how = f"was ended by {signal.Signals(-code).name}"
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return f"{how} ({lines[-1]})" if lines else how


def _unreadable(name: str, failed: OSError, expected: str) -> problems.Problem:
    return _problem(name, "unreadable-file", f"cannot be read: {failed.strerror}; expected {expected}")


def _refused(*found: problems.Problem) -> PolicySet:
    return PolicySet((), found, {})


def _problem(
    name: str, code: str, message: str, hint: str = "", severity: problems.Severity = problems.Severity.ERROR
) -> problems.Problem:
    return problems.Problem(name, 1, 1, severity, code, message, hint)
