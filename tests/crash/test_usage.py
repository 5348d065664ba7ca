"""A worker that is killed between two requests: what was answered is recorded once, and not asked again."""

import anyio
from anyio.abc import Process, SocketStream

from pipeline.client import Client
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.integration.paying import document, told
from tests.llm_faults import ANSWER, fault_server, hangs, says
from tests.records import violations
from tests.support import submit, until, worker_process


async def test_usage_is_what_was_answered_over_a_kill(store: Store, store_settings: StoreSettings) -> None:
    asked_again = anyio.Event()

    async def waits(stream: SocketStream) -> None:
        asked_again.set()
        await hangs(stream)

    client, workers = Client(store), "tests.integration.paying:PAYING"
    async with fault_server(says(ANSWER), waits, says(ANSWER)) as server:
        own = {f"MILLRACE_LLM_{name.upper()}": value for name, value in told(server).items()}
        job = (await submit(client, "paying", document(2))).id
        async with worker_process(store_settings, workers, "--name", "first", **own) as process:
            with anyio.fail_after(60):
                await asked_again.wait()
            await _die(process)
        assert (await client.usage(job=job)).total.requests == 1
        await release_worker(store, "first")
        async with worker_process(store_settings, workers, "--name", "second", **own):
            assert (await until(store, job)).state == "succeeded"
    assert len(server.requests) == 4  # one of them never answered
    total = (await client.usage(job=job)).total
    assert (total.requests, total.input_tokens, total.output_tokens) == (3, 30, 6)
    assert await store.db["usage"].distinct("attempt") == [1, 2]
    assert await violations(store) == {}


async def _die(process: Process) -> None:
    process.kill()
    await process.wait()
