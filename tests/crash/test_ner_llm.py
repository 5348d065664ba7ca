"""The NER engine `llm` in a worker that is killed: chunks that were answered are not asked about again."""

from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store
from stages.outputs import NerOutput
from tests.crash.stalling import Stall, killed_at
from tests.integration.paying import document, told
from tests.llm_faults import Say, fault_server, says
from tests.records import violations
from tests.support import submit, until, worker_process

PARAMS = {"ner": {"engines": ["rules", "llm"], "llm_labels": ["tree"]}}


def names(*trees: str) -> Say:
    return says({"mentions": [{"label": "TREE", "text": each} for each in trees]})


async def test_a_chunk_that_was_answered_is_not_asked_again_after_a_kill(
    store: Store, store_settings: StoreSettings
) -> None:
    client, workers, stall = Client(store), "tests.integration.paying:NAMING", Stall()
    async with fault_server(names("Oak", "Ash"), stall, names("elm")) as server:
        own = {f"MILLRACE_LLM_{name.upper()}": value for name, value in told(server).items()}
        own["MILLRACE_LLM_REMEMBER"] = "0"  # it is the checkpoint that is kept
        job = (await submit(client, "naming", document(2), params=PARAMS)).id
        await killed_at(stall, store, store_settings, workers, own)
        async with worker_process(store_settings, workers, **own):
            assert (await until(store, job)).state == "succeeded"
    assert len(server.requests) == 3  # one of them never answered
    total = (await client.usage(job=job)).total
    assert (total.requests, total.unsettled) == (3, 1)
    output = NerOutput.model_validate(await store.outputs.body(job, "ner", 1))
    assert output.missing == 1
    trees = [each for each in output.entities if each.label == "TREE"]
    assert {(each.text, each.page) for each in trees} == {("Oak", 1), ("elm", 2)}
    assert len(trees) == 70
    assert await violations(store) == {}
