"""The source tree as the architecture tests read it: every Python file, parsed once."""

from __future__ import annotations

import ast
import dataclasses
import functools
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "lastack"


@dataclasses.dataclass(frozen=True, slots=True)
class SourceFile:
    """One Python file: where it is from the top of the clone, its text and its syntax tree."""

    path: pathlib.PurePath
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.text.splitlines())

    @property
    def module(self) -> str:
        """Its name below `lastack`, as in `policy.loading`; for tests and benchmarks the dotted path."""
        parts = self.path.with_suffix("").parts
        if parts[:2] == ("operator", "lastack"):
            parts = parts[2:]
        return ".".join(part for part in parts if part != "__init__")


@functools.cache
def own_sources() -> tuple[SourceFile, ...]:
    """Every file of the program itself."""
    return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))


@functools.cache
def all_sources() -> tuple[SourceFile, ...]:
    """Every file of the program, its tests and its benchmarks."""
    others = [path for folder in ("tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    return own_sources() + tuple(_read(path) for path in others)


def _read(path: pathlib.Path) -> SourceFile:
    text = path.read_text(encoding="utf-8")
    return SourceFile(path.relative_to(ROOT), text, ast.parse(text, str(path)))
