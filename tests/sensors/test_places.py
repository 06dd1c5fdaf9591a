"""What is said about namespaces that may not be seen."""

import pytest

from lastack.sensors import places


@pytest.mark.parametrize(
    ("processes", "said"), [(1, "the network namespace of 1 process "), (2, "namespaces of 2 processes ")]
)
def test_hidden_namespaces_are_counted_in_plain_english(processes: int, said: str) -> None:
    """One process has one namespace."""
    assert said in places.hidden_namespaces(processes).why
