"""The pytest fixture `box`: one booted systemd for the whole session; loaded by tests/conftest.py."""

from collections.abc import Iterator

import pytest

from tests.box import boxes


@pytest.fixture(scope="session")
def box() -> Iterator[boxes.Box]:
    """One real systemd, shared by all tests of a session: every test uses unit names of its own."""
    systemd = boxes.Box()
    try:
        systemd.start()
    except boxes.BoxError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield systemd
    finally:
        systemd.close()
