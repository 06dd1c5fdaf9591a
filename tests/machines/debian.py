"""What the machines are made of, from Debian's own mirrors: kernels and one small tree. Called by tests.machines.

Every suite has package lists of its own below the cache; the machine's own sources are read for the mirror's address
and never changed.
"""

from __future__ import annotations

import pathlib
import subprocess

from tests.machines import kernels

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TREE_SUITE = "bookworm"
"""Debian 12: its python3 is the 3.11 that the installed packages were made for."""
TREE_PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "iproute2", "kmod", "procps", "util-linux")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/zoneinfo/*")


class NotServed(Exception):
    """The mirror does not have it; says what, and what apt said."""


def mirror() -> str:
    """The address of the main archive in the machine's own sources. Raises NotServed."""
    said = _run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)")
    sites = [line.split() for line in said.splitlines()]
    found = [site for site, release in sites if release == TREE_SUITE]
    if not found:
        raise NotServed(
            f"the apt sources of this machine name no mirror of {TREE_SUITE}: add one, and run apt-get update"
        )
    return found[0]


def tree(cache: pathlib.Path) -> pathlib.Path:
    """A tar of a small Debian 12 with systemd and Python; made once. Raises NotServed."""
    made = cache / "tree.tar"
    if not made.exists():
        fresh = made.with_suffix(".new.tar")
        _run(
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(TREE_PACKAGES)}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
            TREE_SUITE,
            str(fresh),
            f"deb [signed-by={KEYRING}] {mirror()} {TREE_SUITE} main",
        )
        fresh.rename(made)
    return made


def kernel(cache: pathlib.Path, suite: str) -> pathlib.Path:
    """A folder with boot/vmlinuz-* and lib/modules/* of the suite's kernel; fetched once. Raises NotServed."""
    made = cache / suite / "kernel"
    if made.exists():
        return made
    options = _own_apt(cache / suite, suite)
    _run("apt-get", *options, "--quiet", "update")
    said = _run("apt-cache", *options, "depends", "--recurse", "--important", kernels.PACKAGE)
    names = sorted({line.strip() for line in said.splitlines() if line.startswith("linux-")})
    packages = [name for name in names if any(digit in name for digit in "0123456789")]
    fresh = made.with_suffix(".new")
    fresh.mkdir(parents=True, exist_ok=True)
    for package in packages:
        _run("apt-get", *options, "--quiet", "download", package, cwd=cache / suite)
    for archive in sorted((cache / suite).glob("*.deb")):
        _run("dpkg-deb", "--extract", str(archive), str(fresh))
        archive.unlink()
    fresh.rename(made)
    return made


def _own_apt(folder: pathlib.Path, suite: str) -> tuple[str, ...]:
    """The options with which apt knows this suite only."""
    for below in ("lists/partial", "archives/partial"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    sources, status = folder / "sources.list", folder / "status"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n", encoding="utf-8")
    status.touch()
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "-",
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": status,
        "Dir::Cache": folder,
        # Lists of an archived suite carry a date in the past.
        "Acquire::Check-Valid-Until": "false",
        "APT::Sandbox::User": "root",
    }
    return tuple(f"-o{name}={value}" for name, value in settings.items())


def _run(*command: str, cwd: pathlib.Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotServed(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout
