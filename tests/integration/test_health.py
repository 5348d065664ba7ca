"""Alive, ready, and what is told when the database is gone."""

import os
import signal
from datetime import timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr

from pipeline.embedded import embedded_mongod
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.integration.api_server import Api, api, serving
from tests.integration.test_rest import check_problem
from tests.support import COUNTING, running, until


async def test_it_is_alive_and_ready_and_counts_its_workers(store: Store) -> None:
    async with serving(store.settings) as served:
        assert (await served.get("/health/live"))["status"] == "alive"
        assert await served.get("/health/ready") == {"status": "ready", "workers": 0}
        async with running(store, COUNTING, name="first"), running(store, COUNTING, name="second"):
            assert await served.get("/health/ready") == {"status": "ready", "workers": 2}
            [first, second] = await served.get("/v1/workers")
        assert await served.get("/v1/workers") == []
    assert {first["name"], second["name"]} == {"first", "second"}
    assert first["pid"] == os.getpid()
    assert sorted(first["queues"]) == ["counting@1/count", "counting@1/read"]


async def test_listeners_are_shown_with_their_position(store: Store) -> None:
    async with api(store) as served:
        job = await served.submit()
        await until(store, job["id"])
        async with await store.db["listeners"].watch() as changes:
            while not (listeners := await served.get("/v1/listeners")):
                await changes.next()
    assert {"role", "position_at", "saved_at", "gap", "resumed"} == set(listeners[0])
    assert listeners[0]["gap"] is None
    assert "token" not in listeners[0]


async def test_without_a_database_it_is_alive_but_not_ready_and_says_when_to_come_back(
    tmp_path: Path,
) -> None:
    async with embedded_mongod(tmp_path) as mongod:
        settings = StoreSettings(mongodb_uri=SecretStr(mongod.uri), timeout=timedelta(seconds=2))
        async with serving(settings) as served:
            job = await served.submit()
            assert (await served.get("/health/ready"))["status"] == "ready"
            os.kill(mongod.pid, signal.SIGKILL)
            await check_unavailable(served, job["id"])
            async with embedded_mongod(tmp_path) as again:
                assert again.port == mongod.port
                assert (await served.get(f"/v1/jobs/{job['id']}"))["id"] == job["id"]


async def check_unavailable(served: Api, job: str) -> None:
    assert (await served.get("/health/live"))["status"] == "alive"
    calls = [
        served.http.get("/health/ready"),
        served.http.get("/v1/jobs"),
        served.http.get(f"/v1/jobs/{job}"),
        served.http.post(f"/v1/jobs/{job}/cancel"),
        served.http.get(f"/v1/jobs/{job}/events"),
        served.http.get("/v1/workers"),
        served.post(b"late"),
    ]
    for call in calls:
        answer: httpx.Response = await call
        check_problem(answer, 503, "Try again")
        assert answer.headers["Retry-After"].isdigit()
        assert "127.0.0.1" not in answer.text
