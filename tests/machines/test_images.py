"""What a machine is made of, as far as it can be seen without booting one; the boots are `make test-kernels`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest

from lastack.lab import plans
from tests.machines import boots, guests, images, kernels

RESULT = kernels.Result(
    suite="bookworm",
    known_as="Debian 12",
    release="6.1.0-50-cloud-amd64",
    on="2026-11-22",
    host_cores=2,
    host_load=2.0,
    booted_seconds=70.0,
    passed=3,
    failed=(),
    features={"pidfd": True, "counted_descriptors": False},
    diseases=tuple(kernels.Disease(name, name.code, name.code, "high", 41.7) for name in plans.Name),
)


def test_archives_are_joined_where_the_kernel_looks_for_the_next(tmp_path: pathlib.Path) -> None:
    """Each begins at a multiple of 512 bytes."""
    parts = []
    for number, size in enumerate((1, 512, 700)):
        parts.append(tmp_path / f"{number}.cpio")
        parts[-1].write_bytes(bytes([number + 1]) * size)
    images.joined(parts, tmp_path / "image")
    image = (tmp_path / "image").read_bytes()
    assert (2048, [1, 2, 3]) == (len(image), [image[0], image[512], image[1024]])


def test_the_installed_packages_are_enough_for_the_suite(tmp_path: pathlib.Path) -> None:
    """A Python that has nothing but these collects every sensor test."""
    for source, name in images.installed(images.WANTED):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    places = os.pathsep.join([str(images.ROOT / "operator"), str(images.ROOT), str(tmp_path)])
    words = ["-S", "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *guests.SUITE]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=images.ROOT,
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize(
    ("changed", "green"),
    [
        ({}, True),
        ({"failed": ("tests/kernel/test_x.py::test_y",)}, False),
        ({"passed": 0}, False),
        ({"passed": None}, False),
        ({"diseases": ()}, False),
        ({"diseases": RESULT.diseases[1:]}, False),
        (
            {"diseases": (dataclasses.replace(RESULT.diseases[0], code="healthy"), *RESULT.diseases[1:])},
            False,
        ),
    ],
)
def test_a_kernel_is_green_only_when_everything_was_seen(changed: dict[str, object], green: bool) -> None:
    """A machine that said nothing is not a success."""
    fields = {field.name: getattr(RESULT, field.name) for field in dataclasses.fields(RESULT)}
    assert green == kernels.Result(**{**fields, **changed}).green


def test_what_a_machine_says_survives_other_words_on_its_console() -> None:
    """Only marked lines count, wherever the mark stands."""
    said: dict[str, list[object]] = {}
    for line in ("booting\n", f'\x1b[K{guests.MARK} suite {{"passed": 3}}\r\n', f"{guests.MARK} end null\n"):
        boots.hear(line, said)
    assert {"suite": [{"passed": 3}], "end": [None]} == said
