"""A real mongod for the whole session, a database for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from pydantic import SecretStr

from pipeline.embedded import Embedded, embedded_mongod
from pipeline.settings import StoreSettings
from pipeline.store import Store

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("mongod")
    with start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(embedded_mongod(folder)) as running:
            yield running


@pytest.fixture
def store_settings(mongod: Embedded, request: pytest.FixtureRequest) -> StoreSettings:
    database = f"test_{abs(hash(request.node.nodeid)) % 10**10}"
    return StoreSettings(mongodb_uri=SecretStr(mongod.uri), database=database)


@pytest.fixture
async def store(store_settings: StoreSettings) -> AsyncIterator[Store]:
    async with Store(store_settings) as opened:
        await opened.install()
        yield opened
        # What a killed process had begun keeps its locks for a minute otherwise.
        await opened.db.client.admin.command("killAllSessions", [])
        await opened.db.client.drop_database(store_settings.database)
