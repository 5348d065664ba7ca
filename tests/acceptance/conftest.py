"""The real thing, as a user starts it: processes of their own, the built-in pipeline, its own database."""

from collections.abc import Iterator

import pytest

from tests.acceptance.up import Up, running_up


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("server")) as up:
        yield up
