"""Policy files -> policies and problems; called by cli (`policy check`), by the child of stores.policy_files, by demo.

Pure: the caller reads the files. Every problem of every file comes back in one run, in the order of the files' lines.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from lastack.policy import building, claims, findings, lint, positions, problems, surveying, valid
from lastack.policy.schema import documents, validation


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A set of policies as far as it could be read. With an error among the problems, none of it may be used."""

    policies: tuple[valid.Policy, ...]
    problems: tuple[problems.Problem, ...]

    @property
    def usable(self) -> bool:
        """No problem is an error."""
        return not problems.has_errors(self.problems)


@dataclasses.dataclass(frozen=True, slots=True)
class _Placed:
    """One document, where it came from, and what it became."""

    file: str
    read: positions.Document
    policy: valid.Policy | None

    def problem(self, finding: findings.Finding) -> problems.Problem:
        at = positions.place(self.read.root, finding.path, of_key=finding.of_key)
        return problems.Problem(
            self.file, at.line, at.column, finding.severity, finding.code, finding.message, finding.hint
        )


def load(files: Mapping[str, bytes]) -> Loaded:
    """Read, check and build every policy of `files` (name as people know it -> content)."""
    placed: list[_Placed] = []
    found: list[problems.Problem] = []
    for file, content in files.items():
        read, flaws = positions.read(content)
        found += [_of_flaw(file, flaw) for flaw in flaws]
        if not flaws and all(_empty(document) for document in read):
            found.append(_of_flaw(file, _NO_POLICY))
        for document in read:
            if not _empty(document):
                one, wrong = _policy(file, document, repaired=not flaws)
                placed.append(one)
                found += [one.problem(finding) for finding in wrong]
    found += _names_once(placed)
    found += _one_claim_each(placed)
    policies = tuple(one.policy for one in placed if one.policy is not None)
    return Loaded(policies, tuple(sorted(set(found))))


_NO_POLICY = positions.Flaw(
    problems.START, "empty-file", "the file holds no policy; expected one", "remove the file if this is meant"
)


def _empty(document: positions.Document) -> bool:
    return isinstance(document.root, positions.Scalar) and document.root.value is None


def _of_flaw(file: str, flaw: positions.Flaw) -> problems.Problem:
    at, error = flaw.at, problems.Severity.ERROR
    return problems.Problem(file, at.line, at.column, error, flaw.code, flaw.message, flaw.hint)


def _policy(
    file: str, document: positions.Document, *, repaired: bool
) -> tuple[_Placed, tuple[findings.Finding, ...]]:
    """One document's policy and what is wrong with it; no policy from a file that is not YAML throughout."""
    values = positions.plain(document.root)
    if not isinstance(values, dict):
        message = f"the document is {problems.shown(values)}; expected a policy with apiVersion, kind, metadata, spec"
        return _Placed(file, document, None), (findings.error((), "wrong-type", message),)
    names = surveying.survey(values)
    checked = validation.validate(values)
    if not isinstance(checked, documents.Document):
        return _Placed(file, document, None), (*names, *_not_said_before(checked, names))
    if names or not repaired:
        return _Placed(file, document, None), names
    policy = building.policy(checked, document, file)
    return _Placed(file, document, policy), lint.lint(policy)


def _not_said_before(
    values: Iterable[findings.Finding], names: tuple[findings.Finding, ...]
) -> Iterator[findings.Finding]:
    """What validation found, without what follows from a name that surveying has named already.

    Nothing below a field that is not supported, and nothing missing where a name is misspelt or has no value.
    """
    later = {finding.path for finding in names if finding.code == "not-supported-yet"}
    slips = {finding.path[:-1] for finding in names if finding.code in {"unknown-field", "empty-value"}}
    for finding in values:
        path = finding.path
        below_later = any(path[:depth] in later for depth in range(1, len(path) + 1))
        follows = finding.code == "missing-field" and path in slips
        if not below_later and not follows:
            yield finding


def _names_once(placed: list[_Placed]) -> Iterator[problems.Problem]:
    """A problem for each policy whose name an earlier one has, valid or not."""
    first: dict[str, _Placed] = {}
    path = ("metadata", "name")
    for one in placed:
        values = positions.plain(one.read.root)
        metadata = values.get("metadata") if isinstance(values, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if isinstance(name, str) and name in first:
            earlier = first[name]
            at = positions.place(earlier.read.root, path)
            message = (
                f"metadata.name is {problems.quoted(name)} like that of the policy in "
                f"{earlier.file}:{at.line}; expected a name of its own"
            )
            yield one.problem(findings.error(path, "duplicate-name", message))
        elif isinstance(name, str):
            first[name] = one


def _one_claim_each(placed: list[_Placed]) -> Iterator[problems.Problem]:
    """A problem for each pair of policies that claim one listener, at the later of the two."""
    for index, one in enumerate(placed):
        for earlier in placed[:index]:
            if one.policy is not None and earlier.policy is not None:
                finding = claims.conflict(one.policy, earlier.policy)
                if finding is not None:
                    yield one.problem(finding)
