"""Files as YAML: what a scalar means, what is refused, and that nothing hostile gets through."""

import pytest

from lastack.policy import core_schema, loading, positions
from tests.policy import documents


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("off", "off"),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("Null", None),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("-12", -12),
        ("+7", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("5s", "5s"),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("9" * 30, float("9" * 30)),
        ("2026-11-22", "2026-11-22"),
        ("=", "="),
    ],
)
def test_a_plain_scalar_means_what_yaml_1_2_says(written: str, expected: object) -> None:
    """Booleans are true and false alone; octal is 0o; no sexagesimals, underscores or dates."""
    found = core_schema.resolved(written)

    assert (expected, type(expected)) == (found, type(found))


def test_not_a_number_is_read() -> None:
    """The one value that equals nothing."""
    assert "nan" == str(core_schema.resolved(".nan"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "1:1: error: the file holds no policy; expected one (remove the file if this is meant)"),
        (
            b"---\n---\n",
            "1:1: error: the file holds no policy; expected one (remove the file if this is meant)",
        ),
        (b"a: \xff\n", "1:4: error: byte 0xff is not UTF-8; expected UTF-8 text"),
        (
            "a: b".encode("utf-16"),
            "1:1: error: the file is UTF-16; expected UTF-8 (save it as UTF-8)",
        ),
        (b"a:\n  b: \x00", "2:6: error: character U+0000 stands here; expected text"),
        (b"a: \x1b[31m", "1:4: error: character U+001B stands here; expected text"),
        (
            b"#" * 1_000_001,
            "1:1: error: the file is larger than 1,000,000 bytes; expected a policy file",
        ),
        (
            b"[" * 100_000,
            "1:34: error: values are nested more than 32 deep here; expected a policy",
        ),
        (b"{a: " * 100_000, "1:130: error: values are nested more than 32 deep here; expected a policy"),
        (
            b"- x\n" * 30_000,
            "20000:3: error: the file holds more than 20,000 values, aliases written out; expected a policy",
        ),
        (
            b"a: *near\nb: &nearby x\n",
            "1:4: error: *near stands for nothing; expected an anchor &near earlier in this document",
        ),
        (
            b"b: &nearby x\na: *nearb\n",
            (
                "2:4: error: *nearb stands for nothing; expected an anchor &nearb earlier in this document "
                "(did you mean nearby?)"
            ),
        ),
        (
            b'a: "\n',
            (
                "2:1: error: this is not YAML: while scanning a quoted scalar found unexpected end of stream; "
                "expected valid YAML (it begins in line 1)"
            ),
        ),
        (
            b"%YAML 3.0\n---\na: b\n",
            "1:1: error: this is not YAML: found incompatible YAML document; expected valid YAML",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(content: bytes, expected: str) -> None:
    """Whatever stands in the file, the answer is a place and a sentence."""
    problems = loading.load({"p.yaml": content}).problems

    assert [f"p.yaml:{expected}"] == [str(problem) for problem in problems]


def test_aliases_that_multiply_are_bounded() -> None:
    """Nine doublings of ten are a thousand million values; the reading stops at twenty thousand."""
    laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True):
        laughs += f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    (problem,) = loading.load({"p.yaml": laughs.encode()}).problems

    assert "too-large" == problem.code


def test_aliases_that_deepen_are_bounded() -> None:
    """Depth counts through aliases too."""
    text = "a: &a [[[[[[[[x]]]]]]]]\n" + "".join(
        f"{new}: &{new} [[[[[[[[*{old}]]]]]]]]\n" for old, new in zip("abcd", "bcde", strict=True)
    )
    (problem,) = loading.load({"p.yaml": text.encode()}).problems

    assert "too-deep" == problem.code


def test_policies_before_a_syntax_error_are_not_used() -> None:
    """Half of a file is not a policy set; what stands before the error is checked all the same."""
    text = documents.edited(("mode: enforce", "mode: off")) + "---\n[\n"
    loaded = loading.load({"p.yaml": text.encode()})

    assert ["bad-value", "yaml-syntax"] == [problem.code for problem in loaded.problems]
    whole = loading.load({"p.yaml": f"{documents.VALID}---\n[\n".encode()})
    assert ((), ["yaml-syntax"]) == (whole.policies, [problem.code for problem in whole.problems])


def test_keys_that_are_no_names_are_refused() -> None:
    """A mapping, a list or nothing is not the name of a field."""
    (document,), flaws = positions.read(b"{a: 1}: x\n? [b]\n: y\n~: z\nname: kept\n")

    assert {"name": "kept"} == positions.plain(document.root)
    assert [("bad-key", 1), ("bad-key", 2), ("bad-key", 4)] == [(flaw.code, flaw.at.line) for flaw in flaws]


def test_a_place_that_is_not_there_is_the_nearest_above() -> None:
    """A problem about what is missing stands where it would have to be."""
    (document,), _ = positions.read(b"a:\n  b: [x, y]\n")

    places = [
        positions.place(document.root, path)
        for path in ((), ("a",), ("a", "b", 1), ("a", "b", 7), ("a", "c"), ("a", "b", 0, "z"))
    ]
    assert [(1, 1), (2, 3), (2, 10), (2, 3), (1, 1), (2, 7)] == [(at.line, at.column) for at in places]
