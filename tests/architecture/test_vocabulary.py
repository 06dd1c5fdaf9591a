"""Names come from one vocabulary, and no net catches everything."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture import trees

BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc", "info", "data"}
BANNED_WORDS = {"delay", "sleep"}

# Where a defect may be caught to be put on record, with the reason. Nowhere else.
MAY_CATCH_EVERYTHING = {
    "kernel.netns": "a thread hands everything to the thread that waits for it, to be raised there",
    "executors.works": "a worker's defect is logged and becomes the outcome of its step; the others go on",
    "executors.thread_dump.forks": "a child made by fork alone ends by _exit, whatever happened in it",
    "executors.thread_dump.hotspot.workers": "a thread tells whoever waits for it that it broke, as a child does",
    "bootstrap": "a record is derived from the ledger: a defect in its rendering is logged and stops no healing",
}


def test_no_module_has_a_name_that_means_nothing() -> None:
    """A module is a plural noun of the domain; utils and its kind collect what nobody placed."""
    banned = [
        str(source.path)
        for source in trees.all_sources()
        if BANNED_NAMES & set(source.path.with_suffix("").parts)
    ]
    assert [] == banned


def test_waits_have_their_four_names() -> None:
    """A function is called settle, cooldown, backoff or sampleEvery, never delay or sleep."""
    wrong = [
        f"{source.path}:{node.lineno} {node.name}"
        for source in trees.own_sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and BANNED_WORDS & set(node.name.lower().split("_"))
    ]
    assert [] == wrong


def test_only_the_loop_and_the_process_entry_catch_everything() -> None:
    """`except Exception` elsewhere would turn a defect into a decision."""
    wrong = [
        f"{source.path}:{handler.lineno}"
        for source in trees.own_sources()
        if source.module not in MAY_CATCH_EVERYTHING
        for handler in _nets(source.tree)
    ]
    assert [] == wrong


def _nets(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    """Handlers that catch everything: bare, Exception, BaseException, alone or in a tuple."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {name.id for name in caught if isinstance(name, ast.Name)}
            if node.type is None or names & {"Exception", "BaseException"}:
                yield node
