"""The LLM stage against llama.cpp's own server: a real schema, a real grammar, real errors."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from pipeline import PermanentError, Snooze, Spent, run_stage
from pipeline.errors import PartError
from pipeline.spending import Spending
from pipeline.trial import MemoryServices
from stages.endpoint.client import Message, open_endpoint
from stages.endpoint.json_schema import leaves
from stages.llm import LlmParams, LlmSettings, llm
from stages.llm.forms import Receipt
from stages.ner import NerParams, label_words, ner
from stages.outputs import LlmOutput, NerOutput
from tests.llm_documents import entities, example, recognised
from tests.llm_server import API_KEY, CONTEXT, serve, write_model


class Payer:
    """Asks outside of any stage."""

    def __init__(self) -> None:
        self.services = MemoryServices(Path(), {})

    def service(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    def spending(self, likely: Spent) -> Spending:
        return Spending(self.services, likely)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_model(path)
    return path


@pytest.fixture(scope="module")
def base_url(model: Path) -> Iterator[str]:
    with serve(model) as url:
        yield url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"x")
    return path


@pytest.fixture(autouse=True)
def _settings(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_LLM_BASE_URL", base_url)
    monkeypatch.setenv("MILLRACE_LLM_MODEL", "tiny")
    monkeypatch.setenv("MILLRACE_LLM_API_KEY", API_KEY)
    monkeypatch.setenv("MILLRACE_LLM_CONTEXT", str(CONTEXT))


async def test_a_model_of_random_weights_answers_in_the_schema(file: Path) -> None:
    output = await run_stage(llm, file, earlier=example("receipt.jpg"))
    assert isinstance(output, LlmOutput)
    assert (output.engine, output.model) == ("openai", "tiny")
    assert output.usage.prompt_tokens > 1000
    assert output.usage.total_tokens == output.usage.prompt_tokens + output.usage.completion_tokens
    # What it says is noise, which the text does not bear out.
    assert output.fields
    assert not any(field.grounded for field in output.fields)


async def test_the_server_keeps_to_the_schema_of_the_job(file: Path) -> None:
    params = LlmParams.model_validate({"schema": "receipt"})
    output = await run_stage(llm, file, earlier=example("receipt.jpg"), params=params)
    assert isinstance(output, LlmOutput)
    assert output.data is not None
    assert output.data.keys() == Receipt.model_fields.keys()
    assert {field.name for field in output.fields} == {name for name, _ in leaves(output.data)}


async def test_chunks_and_their_merge(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_LLM_CHUNK_TOKENS", "600")
    text = recognised(*("Some words of a page. " * 20 for _ in range(2)))
    services = MemoryServices(file, {})
    output = await run_stage(llm, file, earlier=(text, entities(text, [])), services=services)
    assert isinstance(output, LlmOutput)
    assert set(services.saved) == {"plan", "chunk-1", "chunk-2", "merge-1-1"}
    assert services.reported[-1].done == services.reported[-1].total == 1
    notes = [each.note for each in services.reported if each.unit == "chunk" and each.note]
    assert notes[0] == "1 token so far"
    assert len(notes) > 10
    # Each request is paid for, corrected answers too: together they are what the server counted.
    assert len(services.spent) >= 3
    assert sum(each.input_tokens for each in services.spent) == output.usage.prompt_tokens
    assert sum(each.output_tokens for each in services.spent) == output.usage.completion_tokens


async def test_a_chunk_beyond_the_context_is_read_in_halves(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_LLM_CHUNK_TOKENS", "100000")
    monkeypatch.setenv("MILLRACE_LLM_CONTEXT", "200000")
    text = recognised("Some words of a page. " * 750)
    services = MemoryServices(file, {})
    await run_stage(llm, file, earlier=(text, entities(text, [])), services=services)
    assert set(services.saved) == {"plan", "text 1.0-1.8250", "text 1.8250-1.16500"}


async def test_the_endpoint_counts_and_a_chunk_fills_the_context_without_going_over(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CHUNK_TOKENS", 100_000), ("CONTEXT", 7000), ("MAX_TOKENS", 512)):
        monkeypatch.setenv(f"MILLRACE_LLM_{name}", str(value))
    text = recognised(*("Some words of a page. " * 130 for _ in range(2)))
    services = MemoryServices(file, {})
    await run_stage(llm, file, earlier=(text, entities(text, [])), services=services)
    spans = [[(span["start"], span["end"]) for span in chunk] for chunk in services.saved["plan"]["chunks"]]
    assert spans == [[(0, 2860)]] * 2
    asked = [each for key, each in services.saved.items() if key.startswith("chunk-")]
    room = 7000 - 512
    assert all(0.5 * room < each["usage"]["prompt_tokens"] < room for each in asked)
    async with open_endpoint(LlmSettings(), lambda _: None, Payer()) as endpoint:
        assert await endpoint.counter.count("Some words") == len(" Some words")


async def test_a_wrong_key_is_permanent(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_LLM_API_KEY", "sk-wrong")
    with pytest.raises(PermanentError, match=r"401.*MILLRACE_LLM_API_KEY") as caught:
        await run_stage(llm, file, earlier=example("receipt.jpg"))
    assert "sk-wrong" not in str(caught.value)


async def test_a_schema_that_the_server_refuses_falls_back_to_any_object() -> None:
    refused = {"type": "object", "properties": {"a": {"type": "nonsense"}}, "required": ["a"]}
    question: Message = {"role": "user", "content": "Say something."}
    heard = list[int]()
    settings = LlmSettings(model="fallback", max_tokens=64)
    payer = Payer()
    async with open_endpoint(settings, heard.append, payer) as endpoint:
        completion = await endpoint.complete([question], refused)
    assert isinstance(json.loads(completion.text), dict)
    assert sum(heard) == completion.usage.completion_tokens > 0
    # What it refused was free.
    assert [each.input_tokens for each in payer.services.spent] == [completion.usage.prompt_tokens]
    assert payer.services.asked == {}
    assert payer.services.given_up == []
    # A token a character: the schema has gone into the prompt.
    assert completion.usage.prompt_tokens > len(json.dumps(refused))


async def test_a_server_that_is_gone_charges_no_attempt(
    file: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(model) as url:
        monkeypatch.setenv("MILLRACE_LLM_BASE_URL", url)
        await run_stage(llm, file, earlier=example("receipt.jpg"))
    with pytest.raises(Snooze, match="cannot be reached"):
        await run_stage(llm, file, earlier=example("receipt.jpg"))


async def test_the_ner_engine_asks_in_a_schema_that_the_server_keeps_to(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A model of random weights ends nothing by itself: the bounds of the schema do.
    monkeypatch.setattr(label_words, "_MOST", 3)
    monkeypatch.setattr(label_words, "_LONGEST", 10)
    services = MemoryServices(file, {})
    text, _ = example("receipt.jpg")
    params = NerParams(engines=("rules", "llm"), llm_labels=("shop", "product name"))
    output = await run_stage(ner, file, earlier=(text,), params=params, services=services)
    assert isinstance(output, NerOutput)
    assert output.engine == "rules 2 + llm tiny"
    assert output.usage is not None
    assert output.usage.prompt_tokens > 300
    assert [(each.input_tokens, each.output_tokens) for each in services.spent] == [
        (output.usage.prompt_tokens, output.usage.completion_tokens)
    ]
    # What it names is noise, which the text doesn't have; what the rules find is there all the same.
    [remembered] = services.remembered.values()
    assert {each["label"] for each in remembered["mentions"]} <= {"SHOP", "PRODUCT_NAME"}
    assert output.missing == len({(each["label"], each["text"]) for each in remembered["mentions"]})
    assert {"MONEY", "DATE"} <= {each.label for each in output.entities}


async def test_an_answer_that_does_not_end_is_told_with_the_setting(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_LLM_MAX_TOKENS", "40")
    text = recognised("Ms Okafor of Alder GmbH")
    with pytest.raises(PartError) as caught:
        await run_stage(ner, file, earlier=(text,), params=NerParams(engines=("llm",)))
    assert "MILLRACE_LLM_MAX_TOKENS=40" in str(caught.value.__cause__)
