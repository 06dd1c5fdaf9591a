"""A problem of one document, at a path instead of a line; made by surveying, schema, lint, placed by loading."""

import dataclasses

from lastack.policy import problems

Path = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at `path`; `of_key` when the name is meant and not the value."""

    path: Path
    severity: problems.Severity
    code: str
    message: str
    hint: str = ""
    of_key: bool = False


def error(path: Path, code: str, message: str, hint: str = "", *, of_key: bool = False) -> Finding:
    """A finding that refuses the set."""
    return Finding(path, problems.Severity.ERROR, code, message, hint, of_key)


def warning(path: Path, code: str, message: str, hint: str = "", *, of_key: bool = False) -> Finding:
    """A finding that a person should know of."""
    return Finding(path, problems.Severity.WARNING, code, message, hint, of_key)


def written(path: Path) -> str:
    """A path as messages write it: spec.triggers[0].name; the whole document is "the policy"."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{problems.bare(step)}" for step in path)
    return "".join(steps).removeprefix(".") or "the policy"
