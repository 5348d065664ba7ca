"""Whoever waits for a database that is away can be cancelled, and the client is as good as before."""

import anyio
import pytest
from pydantic import SecretStr

from pipeline.errors import StoreUnavailable
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.replica_set import free_port


async def test_waiting_for_a_server_can_be_cancelled() -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/?replicaSet=nobody"
    store = Store(StoreSettings.model_validate({"mongodb_uri": SecretStr(uri), "timeout": 2}))
    try:
        for _ in range(3):
            with anyio.move_on_after(0.2) as waiting:
                async with anyio.create_task_group() as group:
                    for _ in range(5):
                        group.start_soon(store.workers.alive)
            assert waiting.cancelled_caught
        with anyio.fail_after(20), pytest.raises(StoreUnavailable):
            await store.workers.alive()
    finally:
        await store.__aexit__()
