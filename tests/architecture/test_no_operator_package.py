"""operator/ is a folder of sources and must never become a package."""

from __future__ import annotations

import subprocess
import sys

from tests.architecture import trees


def test_the_source_root_has_no_init_file() -> None:
    """With operator/__init__.py, `import operator` anywhere in the clone finds our folder, not the stdlib."""
    assert not (trees.ROOT / "operator" / "__init__.py").exists()


def test_the_stdlib_module_wins_in_the_clone() -> None:
    """A Python that is started at the top of the clone still gets the stdlib's `operator`."""
    # Started with -S, so that neither site nor a .pth file has imported `operator` before the path was set.
    program = (
        "import sys; sys.path.insert(0, '.'); sys.modules.pop('operator', None); "
        "import operator; print(operator.itemgetter(1)('ab'))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=trees.ROOT, capture_output=True, text=True, check=False
    )
    assert (0, "b\n", "") == (done.returncode, done.stdout, done.stderr)
