"""A worker that is killed between two requests: what was answered is recorded once, and not asked again."""

from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.crash.stalling import Stall, killed_at
from tests.integration.paying import document, told
from tests.llm_faults import ANSWER, fault_server, says
from tests.records import violations
from tests.support import submit, until, worker_process


async def test_usage_is_what_was_answered_over_a_kill(store: Store, store_settings: StoreSettings) -> None:
    client, workers, stall = Client(store), "tests.integration.paying:PAYING", Stall()
    async with fault_server(says(ANSWER), stall, says(ANSWER)) as server:
        own = {f"MILLRACE_LLM_{name.upper()}": value for name, value in told(server).items()}
        job = (await submit(client, "paying", document(2))).id
        await killed_at(stall, store, store_settings, workers, own)
        assert (await client.usage(job=job)).total.requests == 1
        async with worker_process(store_settings, workers, **own):
            assert (await until(store, job)).state == "succeeded"
    assert len(server.requests) == 4  # one of them never answered
    total = (await client.usage(job=job)).total
    assert (total.requests, total.input_tokens, total.output_tokens) == (3, 30, 6)
    assert await store.db["usage"].distinct("attempt") == [1, 2]
    assert await violations(store) == {}
