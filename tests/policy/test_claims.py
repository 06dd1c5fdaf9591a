"""Two policies never claim one listener."""

import fnmatch

import hypothesis
import pytest
from hypothesis import strategies as st

from lastack.policy import globs, loading
from tests.policy import documents


def other(*edits: tuple[str, str]) -> str:
    """A second policy, named web, with edits of its own."""
    return documents.edited(("name: api", "name: web"), *edits)


UNITS = '"api@*.service"'
SUPERVISED = ('systemd: {units: ["api@*.service"]}', "supervised: {name: demo}")


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        (
            [],
            (
                'b.yaml:7:23: error: policies "web" and "api" (a.yaml:1) both claim the listeners of api@*.service on '
                "port 8080; expected one policy for each listener"
            ),
        ),
        (
            [(UNITS, '"db.service", "api@1.service"'), ("[8080]", "[9090, 8080]")],
            (
                'b.yaml:7:37: error: policies "web" and "api" (a.yaml:1) both claim the listeners of api@1.service and '
                "api@*.service on port 8080; expected one policy for each listener"
            ),
        ),
        (
            [("    ports: [8080]\n", "")],
            (
                'b.yaml:7:23: error: policies "web" and "api" (a.yaml:1) both claim the listeners of api@*.service '
                '("web" without ports: all of them); expected one policy for each listener'
            ),
        ),
        ([("[8080]", "[8081]")], None),
        ([(UNITS, '"db@*.service"')], None),
        ([SUPERVISED], None),
    ],
)
def test_two_policies_that_meet_at_a_listener_are_both_named(
    edits: list[tuple[str, str]], expected: str | None
) -> None:
    """The same unit and the same port, each by pattern, is one listener."""
    files = {"a.yaml": documents.VALID.encode(), "b.yaml": other(*edits).encode()}
    errors = [str(one) for one in loading.load(files).problems if one.severity == "error"]

    assert ([] if expected is None else [expected]) == errors


def test_one_supervised_target_is_claimed_once() -> None:
    """The demo's supervisor is a target like any other."""
    files = {"a.yaml": documents.edited(SUPERVISED).encode(), "b.yaml": other(SUPERVISED).encode()}
    another = {**files, "b.yaml": other((SUPERVISED[0], "supervised: {name: lab}")).encode()}

    assert ["b.yaml:7:24"] == [
        f"{one.file}:{one.line}:{one.column}"
        for one in loading.load(files).problems
        if one.code == "listener-claimed-twice"
    ]
    assert () == loading.load(another).problems


def test_names_are_unique_in_the_set() -> None:
    """Also when the other policy of the name is not valid, or in the same file."""
    broken = documents.edited(("mode: enforce", "mode: off"))
    text = f"{broken}---\n{documents.VALID}---\nmetadata: hello\n"
    found = [
        str(one) for one in loading.load({"p.yaml": text.encode()}).problems if one.code == "duplicate-name"
    ]

    assert [
        'p.yaml:26:18: error: metadata.name is "api" like that of the policy in p.yaml:3; expected a name of its own'
    ] == found


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a.service", "a.service", True),
        ("a@*.service", "a@1.service", True),
        ("*-api.service", "device-*.service", True),
        ("a?.service", "a.service", False),
        ("a[12].service", "a2.service", True),
        ("a[1-3].service", "a[3-5].service", True),
        ("a[!1].service", "a1.service", False),
        ("a[!1].service", "a2.service", True),
        ("a[.service", "a[.service", True),
        ("a[]].service", "a].service", True),
        ("**.service", "x.service", True),
        ("", "", True),
    ],
)
def test_patterns_overlap_when_a_name_matches_both(one: str, other: str, expected: bool) -> None:
    """Both ways round."""
    assert (expected, expected) == (globs.overlap(one, other), globs.overlap(other, one))


PATTERNS = st.lists(st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "[a-c]"]), max_size=5).map("".join)


@hypothesis.given(one=PATTERNS, other=PATTERNS, name=st.text("abcd", max_size=5))
def test_a_name_that_matches_both_patterns_is_always_found(one: str, other: str, name: str) -> None:
    """The shell's own matching is the oracle: no overlap means that no name matches both."""
    if fnmatch.fnmatchcase(name, one) and fnmatch.fnmatchcase(name, other):
        assert globs.overlap(one, other)
