"""`python -m tests.machines`: run the sensor suite and each lab on the kernels of several Debian releases.

Boots each kernel in qemu, without hardware acceleration, and writes docs/reference/kernels.json, from which
kernels.md beside it is made. Exit 0 when every test passed and every lab was named on each kernel, 1 when not, 3
when a kernel or a program could not be had.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import sys
import tempfile

from tests.machines import boots, debian, images, kernels

NEEDED = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "cpio": "cpio",
    "depmod": "kmod",
}
CACHE = images.ROOT / ".cache" / "machines"


def main() -> int:
    """Process entry."""
    parser = argparse.ArgumentParser(prog="tests.machines", description=(__doc__ or "").splitlines()[0])
    suites = [kernel.suite for kernel in kernels.KERNELS]
    parser.add_argument("--suite", action="append", choices=suites, help="only this one (may be repeated)")
    wanted = parser.parse_args().suite or suites
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if missing:
        print(f"test-kernels: install, as root: apt-get install {' '.join(missing)}", file=sys.stderr)  # noqa: T201
        return 3
    CACHE.mkdir(parents=True, exist_ok=True)
    done: dict[str, kernels.Result] = {}
    unreachable = False
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="run-") as folder:
        project = images.project(pathlib.Path(folder))
        for kernel in kernels.KERNELS:
            if kernel.suite not in wanted:
                continue
            print(f"test-kernels: {kernel.suite} ({kernel.known_as})", file=sys.stderr, flush=True)  # noqa: T201
            try:
                result = _run(kernel, project, pathlib.Path(folder))
            except (debian.NotServed, boots.DidNotRun) as problem:
                print(f"test-kernels: {kernel.suite} was not run: {problem}", file=sys.stderr)  # noqa: T201
                unreachable = True
                continue
            done[kernel.suite] = result
            kernels.keep(result)
    if unreachable:
        return 3
    return 0 if all(done[suite].green for suite in wanted) else 1


def _run(kernel: kernels.Kernel, project: pathlib.Path, folder: pathlib.Path) -> kernels.Result:
    found = debian.kernel(CACHE, kernel.suite)
    image = folder / f"{kernel.suite}.image"
    images.joined((images.tree(debian.tree(CACHE), CACHE), images.modules(found), project), image)
    log = images.ROOT / "build" / f"kernel-{kernel.suite}.log"
    log.parent.mkdir(exist_ok=True)
    try:
        return boots.boot(kernel, image, found, log)
    finally:
        image.unlink()


if __name__ == "__main__":
    sys.exit(main())
