"""Documents that are not what YAML or a policy may be. A table for test_invalid_policies."""

from tests.policy import documents
from tests.policy.mistakes import Case

CASES = [
    Case(
        "text for a mapping",
        [
            ("{cooldown: 30m, restarts: {max: 3, per: 24h}, minAvailable: 1}", "strict"),
        ],
        [
            ("wrong-type", '22:11: error: spec.limits is "strict"; expected a mapping of names to values'),
        ],
    ),
    Case(
        "a list for a document",
        [
            (documents.VALID, "- a\n- b\n"),
        ],
        [
            (
                "wrong-type",
                (
                    "1:1: error: the document is a list of 2; expected a policy with apiVersion, kind, "
                    "metadata, spec"
                ),
            ),
        ],
    ),
    Case(
        "words for a document",
        [
            (documents.VALID, "hello\n"),
        ],
        [
            (
                "wrong-type",
                (
                    '1:1: error: the document is "hello"; expected a policy with apiVersion, kind, '
                    "metadata, spec"
                ),
            ),
        ],
    ),
    Case(
        "nothing",
        [
            (documents.VALID, "# all of it is commented out\n"),
        ],
        [
            (
                "empty-file",
                "1:1: error: the file holds no policy; expected one (remove the file if this is meant)",
            ),
        ],
    ),
    Case(
        "a tab",
        [
            ("  mode", "\tmode"),
        ],
        [
            (
                "yaml-syntax",
                (
                    "5:1: error: this is not YAML: while scanning for the next token found character that "
                    "cannot start any token; expected valid YAML (a tab stands here; YAML is indented "
                    "with spaces)"
                ),
            ),
        ],
    ),
    Case(
        "an unclosed bracket",
        [
            ("[8080]", "[8080"),
        ],
        [
            (
                "yaml-syntax",
                (
                    "9:8: error: this is not YAML: while parsing a flow sequence did not find expected "
                    "',' or ']'; expected valid YAML (it begins in line 8)"
                ),
            ),
        ],
    ),
    Case(
        "a merge key",
        [
            ("  mode: enforce", "  <<: {mode: enforce}"),
        ],
        [
            (
                "merge-key",
                (
                    "5:3: error: the merge key << stands here; expected the fields themselves (write it "
                    "out at each place)"
                ),
            ),
        ],
    ),
    Case(
        "a key that is a number",
        [
            ("sampleEvery: 5s", "5: s"),
        ],
        [
            (
                "bad-key",
                (
                    "10:3: error: a key is the number 5; expected the name of a field (put a name that "
                    "looks like a number in quotes)"
                ),
            ),
        ],
    ),
    Case(
        "a tag",
        [
            ("mode: enforce", "mode: !!python/name:os.system enforce"),
        ],
        [
            ("yaml-tag", '5:9: error: the tag "!!python/name:os.system" stands here; expected a plain value'),
        ],
    ),
    Case(
        "an alias for nothing",
        [
            ("mode: enforce", "mode: *level"),
        ],
        [
            (
                "unknown-alias",
                ("5:9: error: *level stands for nothing; expected an anchor &level earlier in this document"),
            ),
        ],
    ),
    Case(
        "an alias in itself",
        [
            ("[8080]", "&ports [8080, *ports]"),
        ],
        [
            (
                "endless-alias",
                (
                    "8:26: error: *ports stands inside of the value that it repeats; expected a value "
                    "without itself"
                ),
            ),
        ],
    ),
]
