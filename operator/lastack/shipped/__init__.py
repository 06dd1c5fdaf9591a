"""The policies and runbook pages that come with the program; read by cli and bootstrap.

They live in `policies/` and `runbooks/` at the top of the clone. Beside this file stands a link to each,
so that the editable install reads the clone and a wheel carries copies, both as package data.
"""

from __future__ import annotations

from importlib import resources


def policy_text(name: str) -> str:
    """The YAML text of a shipped policy, as `policy_text("demo")`; FileNotFoundError when there is none."""
    return _text("policies", f"{name}.yaml")


def page_text(code: str) -> str:
    """The Markdown page of a diagnosis or cause code; FileNotFoundError when there is none."""
    return _text("runbooks", f"{code}.md")


def _text(folder: str, name: str) -> str:
    return resources.files(__name__).joinpath(folder, name).read_text(encoding="utf-8")
