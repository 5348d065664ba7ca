"""The LLM stage with a job's own schema, on a local endpoint that answers as it is told."""

from pathlib import Path
from typing import Any

import pytest

from pipeline import PermanentError, TemporaryError, run_stage
from pipeline.trial import MemoryServices
from stages.llm import LlmParams, llm
from stages.outputs import LlmOutput, NerOutput
from tests.llm_documents import recognised
from tests.llm_faults import ANSWER, FaultServer, fault_server, says

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "total": {"type": "number"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"item": {"type": "string"}}}},
    },
    "required": ["total"],
}
EVIDENCE = [{"name": "$.lines[0].item", "value": "Oak", "page": 2, "quote": "one Oak table"}]
DATA = {"total": 5.25, "lines": [{"item": "Oak"}, {"item": "Elm"}]}
GOOD = {**ANSWER, "data": DATA, "fields": EVIDENCE}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("x")
    return path


async def ask(
    server: FaultServer, file: Path, monkeypatch: pytest.MonkeyPatch, *texts: str, **settings: str
) -> tuple[LlmOutput, MemoryServices]:
    for name, value in {"base_url": server.base_url, "model": "m", **settings}.items():
        monkeypatch.setenv(f"MILLRACE_LLM_{name.upper()}", value)
    services = MemoryServices(file, {})
    earlier = (recognised(*texts), NerOutput(entities=[], engine="test"))
    params = LlmParams.model_validate({"schema": SCHEMA})
    output = await run_stage(llm, file, earlier=earlier, params=params, services=services)
    assert isinstance(output, LlmOutput)
    return output, services


async def test_every_value_carries_its_evidence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with fault_server(says(GOOD)) as server:
        output, _ = await ask(server, file, monkeypatch, "Total 5.25", "for one Oak table")
    assert (output.data, output.schema_name) == (DATA, "job")
    total, oak, elm = output.fields
    # Without evidence from the model the value is its own quote.
    assert (total.name, total.page, total.quote, total.grounded) == ("total", 1, "5.25", True)
    assert (oak.name, oak.page, oak.quote, oak.grounded) == ("lines.0.item", 2, "one Oak table", True)
    assert oak.box is not None
    assert (elm.name, elm.grounded, elm.page) == ("lines.1.item", False, None)
    assert total.confidence == 1
    assert elm.confidence == 0.25
    (request,) = server.requests
    sent = request.body["response_format"]["json_schema"]["schema"]
    assert sent["properties"]["data"] == SCHEMA


async def test_data_of_another_form_is_corrected_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**GOOD, "data": {"total": "five"}}
    async with fault_server(says(wrong), says(GOOD)) as server:
        output, _ = await ask(server, file, monkeypatch, "Total 5.25")
    assert output.data == DATA
    assert "data.total: it must have type" in server.requests[1].body["messages"][-1]["content"]
    async with fault_server(says(wrong)) as server:
        with pytest.raises(TemporaryError, match=r"corrected once: data\.total"):
            await ask(server, file, monkeypatch, "Total 5.25")


async def test_a_part_need_not_have_what_the_whole_must(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = {**GOOD, "data": {"lines": [{"item": "Oak"}]}}
    texts = [f"{'Oak and elm. ' * 60}" for _ in range(2)]
    async with fault_server(says(part), says(part), says(GOOD)) as server:
        output, services = await ask(server, file, monkeypatch, *texts, chunk_tokens="300", concurrency="1")
    assert set(services.saved) == {"plan", "chunk-1", "chunk-2", "merge-1-1"}
    assert output.data == DATA
    assert '"data"' in server.requests[2].body["messages"][-1]["content"]


async def test_the_same_question_is_paid_for_once_unless_it_is_forced(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = MemoryServices(file, {})
    earlier = (recognised("Total 5.25"), NerOutput(entities=[], engine="test"))

    async def tokens(**settings: str) -> int:
        monkeypatch.setenv("MILLRACE_LLM_REMEMBER", settings.get("remember", "3600"))
        params = LlmParams(json_schema=SCHEMA, force="force" in settings)
        output = await run_stage(llm, file, earlier=earlier, params=params, services=services)
        assert isinstance(output, LlmOutput)
        assert output.data == DATA
        services.saved.clear()  # as another job
        return output.usage.total_tokens

    async with fault_server(says(GOOD)) as server:
        monkeypatch.setenv("MILLRACE_LLM_BASE_URL", server.base_url)
        monkeypatch.setenv("MILLRACE_LLM_MODEL", "m")
        assert [await tokens(), await tokens()] == [12, 0]
        assert await tokens(force="yes") == 12
        assert await tokens(remember="0") == 12
        monkeypatch.setenv("MILLRACE_LLM_MODEL", "n")
        assert await tokens() == 12
    assert len(server.requests) == 4


async def test_a_job_asks_for_another_model_where_the_operator_lets_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = (recognised("Total 5.25"), NerOutput(entities=[], engine="test"))
    params = LlmParams(json_schema=SCHEMA, model="large")
    async with fault_server(says(GOOD)) as server:
        monkeypatch.setenv("MILLRACE_LLM_BASE_URL", server.base_url)
        monkeypatch.setenv("MILLRACE_LLM_MODEL", "small")
        with pytest.raises(PermanentError, match="MILLRACE_LLM_MODELS lets it: none"):
            await run_stage(llm, file, earlier=earlier, params=params)
        monkeypatch.setenv("MILLRACE_LLM_MODELS", "large, huge")
        await run_stage(llm, file, earlier=earlier, params=params)
    assert [each.body["model"] for each in server.requests] == ["large"]
