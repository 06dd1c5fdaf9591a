"""Which kernels are tried, and what came of it, as values. Called by tests.machines and by the generated docs."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from lastack.lab import plans

PACKAGE = "linux-image-cloud-amd64"
RESULTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "reference" / "kernels.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel of a Debian suite, as its package linux-image-cloud-amd64 depends on it."""

    suite: str
    known_as: str


KERNELS = (
    Kernel("bullseye", "Debian 11"),
    Kernel("bookworm", "Debian 12"),
    Kernel("trixie", "Debian 13"),
    Kernel("trixie-backports", "Debian 13, backports"),
)
"""Oldest first; the userland is Debian 12's in all of them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Disease:
    """What `lastack diagnose` said about one lab, `after_seconds` of it: at last, and whether that was its name."""

    lab: str
    expected: str
    code: str | None
    confidence: str | None
    after_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One kernel that was run. `features` as `lastack.kernel.features` probed them.

    `host_load` is how many processes wanted one of the `host_cores` of the real machine, at the end.
    """

    suite: str
    known_as: str
    release: str
    on: str
    host_cores: int
    host_load: float
    booted_seconds: float
    passed: int | None
    """None where the machine did not come to the end of the suite."""
    failed: tuple[str, ...]
    features: dict[str, bool]
    diseases: tuple[Disease, ...]

    @property
    def green(self) -> bool:
        """Every test passed, and every lab was named."""
        named = [disease.lab for disease in self.diseases if disease.code == disease.expected]
        return bool(self.passed) and not self.failed and named == list(plans.Name)


def read() -> tuple[Result, ...]:
    """The committed results, in the order of KERNELS."""
    documents: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return tuple(
        Result(
            **{
                **document,
                "failed": tuple(document["failed"]),
                "diseases": tuple(Disease(**disease) for disease in document["diseases"]),
            }
        )
        for document in documents
    )


def keep(result: Result) -> None:
    """Put a result in the place of the last one of its suite."""
    known = {each.suite: each for each in read()} | {result.suite: result}
    documents = [dataclasses.asdict(known[kernel.suite]) for kernel in KERNELS if kernel.suite in known]
    RESULTS.write_text(json.dumps(documents, indent=1) + "\n", encoding="utf-8")


def table() -> str:
    """The results as the page of the docs shows them."""
    rows = [
        "| kernel | of | run on | processes for each core of the host | sensor suite | labs named | missing features |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in read():
        named = sum(disease.code == disease.expected for disease in result.diseases)
        tests = "not finished" if result.passed is None else f"{result.passed} passed"
        cells = (
            result.release,
            result.known_as,
            result.on,
            f"{result.host_load / result.host_cores:.0f}",
            tests + (f", {len(result.failed)} failed" if result.failed else ""),
            f"{named} of {len(plans.Name)}",
            ", ".join(sorted(name for name, there in result.features.items() if not there)) or "none",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, "", *_differences()])


def _differences() -> list[str]:
    lines = []
    for result in read():
        if not result.passed:
            lines.append(f"- {result.release}: the machine was stopped before the sensor suite had ended")
        lines += [f"- {result.release}: `{name}` failed" for name in result.failed]
        lines += [
            f"- {result.release}: lab `{disease.lab}` was last called `{disease.code}`, after "
            f"{disease.after_seconds:.0f} s"
            for disease in result.diseases
            if disease.code != disease.expected
        ]
        tried = {disease.lab for disease in result.diseases}
        left = ", ".join(f"`{name}`" for name in plans.Name if name not in tried)
        if left:
            lines.append(f"- {result.release}: the machine was stopped before these labs were tried: {left}")
    return lines or ["In all of them every test passed, and every lab was named."]
