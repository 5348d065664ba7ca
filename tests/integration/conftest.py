"""Fixtures of the tests on a real replica set."""

import pytest

from tests.integration.paying import Use


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    return Use(monkeypatch)
