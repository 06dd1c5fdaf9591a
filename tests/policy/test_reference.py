"""The reference page of the policy language is the schema's own."""

import pathlib

from lastack.policy import reference

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "reference" / "policy.md"
RENEW = (
    "docs/reference/policy.md is not what the schema says; renew it with .venv/bin/python -c "
    "'from lastack.policy import reference; print(reference.page(), end=\"\")' > docs/reference/policy.md"
)


def test_the_reference_page_is_what_the_schema_says() -> None:
    """A field that is added, renamed or bounded otherwise shows on the page."""
    assert reference.page() == PAGE.read_text(encoding="utf-8"), RENEW


def test_the_page_has_every_field_of_the_language() -> None:
    """Also those that this version refuses."""
    rows = {
        line.split("`")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    }
    of_design = {
        *(
            "mode",
            "target",
            "systemd",
            "kubernetes",
            "commands",
            "container",
            "supervised",
            "ports",
            "probe",
            "http",
        ),
        *(
            "expect",
            "timeout",
            "rotation",
            "out",
            "in",
            "within",
            "sampleEvery",
            "triggers",
            "diagnosis",
            "signal",
        ),
        *(
            "raiseAbove",
            "clearBelow",
            "raiseBelow",
            "clearAbove",
            "all",
            "sustainedFor",
            "clearFor",
            "stages",
            "action",
        ),
        *(
            "with",
            "when",
            "cause",
            "notCause",
            "approval",
            "settle",
            "restore",
            "after",
            "count",
            "every",
            "maxPause",
        ),
        *(
            "waitAtMost",
            "scope",
            "values",
            "backlog",
            "sockets",
            "peers",
            "limit",
            "pace",
            "readyWithin",
            "warmFor",
        ),
        *(
            "limits",
            "warmUp",
            "minProcessAge",
            "cooldown",
            "restarts",
            "max",
            "per",
            "minAvailable",
            "holdWhenSick",
        ),
        *("calendar", "timezone", "quiet", "days", "from", "to", "freeze", "emergency", "storm", "fleet"),
    }

    assert set() == of_design - rows
