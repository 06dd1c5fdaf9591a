"""What decides reads no clock and opens nothing, also by the ways that need no import."""

from __future__ import annotations

import ast

from tests.architecture import trees

PURE = ("engine", "policy", "runbook", "quantities", "errors", "ports")
# `sys`, `os` and clocks as modules are the business of import-linter.
BUILTINS_OF_THE_WORLD = {"open", "print", "input", "__import__", "exec", "eval", "breakpoint"}
CLOCKS = {"now", "utcnow", "today"}


def test_nothing_pure_calls_the_world() -> None:
    """No open, print or input, and no datetime.now(): time is an argument."""
    wrong = [
        f"{source.path}:{node.lineno} {ast.unparse(node.func)}()"
        for source in trees.own_sources()
        if source.module.split(".")[0] in PURE
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in BUILTINS_OF_THE_WORLD)
            or (isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS)
        )
    ]
    assert [] == wrong


def test_nothing_pure_keeps_state_in_a_module() -> None:
    """No `global`: a decision depends on its arguments alone."""
    wrong = [
        f"{source.path}:{node.lineno}"
        for source in trees.own_sources()
        if source.module.split(".")[0] in PURE
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Global)
    ]
    assert [] == wrong
