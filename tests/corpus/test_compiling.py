"""What is built once, and what is said when it cannot be. The compilers here are cp and false."""

import pathlib

import pytest

from tests.corpus import shapes
from tests.corpus.servers import compiling

INSTALL = "apt-get install a-compiler"


@pytest.fixture
def sources(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with one file."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "serve.txt").write_text("one")
    return folder


def test_a_server_is_built_once(tmp_path: pathlib.Path, sources: pathlib.Path) -> None:
    """The second call finds what the first has made, and does not look at the sources."""
    built = tmp_path / "built" / "server"
    for text in ("one", "two"):
        (sources / "serve.txt").write_text(text)
        compiling.compile_into(built, ["cp", "serve.txt", "{out}"], sources, install=INSTALL)
    assert {"serve.txt": "one"} == {path.name: path.read_text() for path in built.iterdir()}


def test_nothing_but_the_result_is_left(tmp_path: pathlib.Path, sources: pathlib.Path) -> None:
    """What a compiler leaves beside its sources is left in a copy of them."""
    built = tmp_path / "built" / "server"
    compiling.compile_into(built, ["cp", "serve.txt", "serve.lock"], sources, install=INSTALL)
    assert (["server"], ["serve.txt"]) == (
        [path.name for path in built.parent.iterdir()],
        [path.name for path in sources.iterdir()],
    )


@pytest.mark.parametrize("compiler", ["false", "no-such-compiler"])
def test_who_cannot_build_is_told_what_to_install(
    tmp_path: pathlib.Path, sources: pathlib.Path, compiler: str
) -> None:
    """Both when there is no compiler and when it fails; and nothing half-built stays."""
    built = tmp_path / "built" / "server"
    with pytest.raises(shapes.NotBuilt, match=f"server: {compiler}.*{INSTALL}"):
        compiling.compile_into(built, [compiler], sources, install=INSTALL)
    assert not built.exists()


def test_another_version_of_the_source_has_another_folder(sources: pathlib.Path) -> None:
    """So that nobody runs what was built from an older one."""
    source = sources / "serve.txt"
    before = compiling.folder_of("server", source)
    source.write_text("two")
    assert before != compiling.folder_of("server", source)
