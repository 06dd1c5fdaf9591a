"""Whatever stands in a policy file, the answer is problems with places inside of it."""

import hypothesis
import yaml
from hypothesis import strategies as st

from lastack.policy import loading, problems
from tests.policy import documents

WORDS = st.sampled_from(
    [
        *documents.VALID.replace(":", " ").replace(",", " ").split(),
        *(
            "off",
            "yes",
            "~",
            "5",
            "-1",
            "1e400",
            "''",
            "[]",
            "{}",
            "*a",
            "&a",
            "<<",
            "!!str",
            "? x",
            "|",
            ">",
            "---",
        ),
        *(
            "kubernetes",
            "approval",
            "backlogRaise",
            "propose",
            "calendar",
            "\t",
            "\x85",
            "\u2028",
            "\U0001f600",
            "\\",
        ),
    ]
)
LINES = documents.VALID.splitlines(keepends=True)


def check(content: bytes) -> loading.Loaded:
    """Load it, and look at what every answer must be."""
    loaded = loading.load({"p.yaml": content})
    lines = content.decode("utf-8", "replace").removeprefix("\ufeff").split("\n")
    for problem in loaded.problems:
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        text = str(problem)
        assert text.isprintable(), text
        assert "pydantic" not in text
    assert loaded.policies or not loaded.usable
    assert list(loaded.problems) == sorted(loaded.problems)
    return loaded


@hypothesis.given(st.binary(max_size=400))
def test_arbitrary_bytes_are_answered(content: bytes) -> None:
    """No bytes bring the reading down."""
    check(content)


@hypothesis.given(st.text(max_size=400))
def test_arbitrary_text_is_answered(text: str) -> None:
    """No text brings the reading down."""
    check(text.encode("utf-8", "surrogatepass"))


@hypothesis.given(
    st.lists(
        st.tuples(st.integers(0, len(documents.VALID)), st.integers(0, 12), WORDS), min_size=1, max_size=6
    )
)
def test_a_policy_with_words_cut_and_put_anywhere_is_answered(cuts: list[tuple[int, int, str]]) -> None:
    """Slips of the hand, at any place."""
    text = documents.VALID
    for at, length, word in cuts:
        text = text[:at] + word + text[at + length :]
    check(text.encode())


@hypothesis.given(st.lists(st.sampled_from(LINES), max_size=30))
def test_lines_of_a_policy_in_any_order_are_answered(lines: list[str]) -> None:
    """Lines lost, doubled and moved."""
    check("".join(lines).encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | WORDS, inner, max_size=3)
    ),
    max_leaves=8,
)


def _holders(value: object) -> list[tuple[object, object]]:
    """Every (container, key) in a tree of plain values."""
    pairs = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    return [(value, key) for key, _ in pairs] + [pair for _, inner in pairs for pair in _holders(inner)]


@hypothesis.given(st.lists(st.tuples(st.integers(min_value=0), VALUES), min_size=1, max_size=4))
def test_a_policy_with_any_value_at_any_field_is_answered(edits: list[tuple[int, object]]) -> None:
    """Any value of any type where a field expects another."""
    document = yaml.safe_load(documents.VALID)
    for where, value in edits:
        holders = _holders(document)
        if holders:
            container, key = holders[where % len(holders)]
            container[key] = value  # type: ignore[index]  # a dict or a list, by construction
    check(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


@hypothesis.given(st.text(max_size=100))
def test_what_a_message_shows_drives_no_terminal(text: str) -> None:
    """Control characters, direction marks and half characters are escaped, and long values cut."""
    for shown in (problems.quoted(text), problems.bare(text)):
        assert shown.isprintable()
        assert len(shown) <= 62 * 10


def test_a_value_is_shown_by_what_it_is() -> None:
    """Each kind of value has its words."""
    cases: dict[str, object] = {
        "empty": None,
        "true": True,
        "false": False,
        "the number 1.5": 1.5,
        '"a\\"b\\\\\\n"': 'a"b\\\n',
        "an empty list": [],
        "a list of 2": [1, 2],
        "a mapping": {},
    }

    assert list(cases) == [problems.shown(value) for value in cases.values()]
