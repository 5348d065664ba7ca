"""Replica sets of three for the faults that need them; the long forms are asked for by a variable."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.network import why_not
from tests.replica_set import ReplicaSet, replica_set

LONG = os.environ.get("MILLRACE_TEST_LONG") == "1"
only_long = pytest.mark.skipif(not LONG, reason="takes minutes: set MILLRACE_TEST_LONG=1")
DATABASE = "faults"


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[ReplicaSet]:
    """Three members on loopback."""
    async with replica_set(tmp_path / "set") as running:
        yield running


@pytest.fixture
async def networked(tmp_path: Path) -> AsyncIterator[ReplicaSet]:
    """Three members, each in a network of its own."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    async with replica_set(tmp_path / "set", networks=True) as running:
        yield running


def settings_of(replicas: ReplicaSet, **options: object) -> StoreSettings:
    return StoreSettings.model_validate(
        {"mongodb_uri": SecretStr(replicas.uri), "database": DATABASE, **options}
    )


@asynccontextmanager
async def installed(settings: StoreSettings) -> AsyncIterator[Store]:
    async with Store(settings) as store:
        await store.install()
        yield store
