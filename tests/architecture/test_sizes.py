"""A file holds one concept, can be read in one sitting and says what it is."""

from __future__ import annotations

import ast

from tests.architecture import trees

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60


def test_no_file_is_longer_than_one_sitting() -> None:
    """A file over 400 lines holds more than one concept: split it."""
    too_long = {str(source.path): source.lines for source in trees.all_sources() if source.lines > MOST_LINES}
    assert {} == too_long


def test_every_file_says_what_it_is() -> None:
    """Each file begins with a docstring: what it is and who calls it."""
    silent = [str(source.path) for source in trees.all_sources() if not ast.get_docstring(source.tree)]
    assert [] == silent


def test_no_function_is_longer_than_a_screen() -> None:
    """A function of the program fits on one screen, its docstring included."""
    too_long = {
        f"{source.path}:{node.name}": node.end_lineno - node.lineno + 1
        for source in trees.own_sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    }
    assert {} == too_long


def test_every_folder_of_the_program_is_a_package() -> None:
    """A folder without __init__.py would be left out of the layers and of the docs."""
    folders = {source.path.parent for source in trees.own_sources()}
    packages = {source.path.parent for source in trees.own_sources() if source.path.name == "__init__.py"}
    assert set() == folders - packages
