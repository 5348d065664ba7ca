"""The `llm` engine of the NER stage against an endpoint that answers as it is told."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import PermanentError, Unavailable, run_stage
from pipeline.errors import PartError
from pipeline.trial import MemoryServices
from stages.ner import NerParams, ner
from stages.outputs import NerOutput, Usage
from tests.llm_documents import recognised
from tests.llm_faults import FaultServer, error, fault_server, says, status

TEXT = (
    "Dear Ms Okafor, the flow meter FM-200 of Alder\nInstruments GmbH is due on 3 May 2026.\n"
    "IBAN DE89 3704 0044 0532 0130 00. Alder Instruments GmbH thanks Dr. Okafor."
)
Find = Callable[..., Awaitable[NerOutput]]


def names(*mentions: tuple[str, str]) -> dict[str, Any]:
    """An answer."""
    return {"mentions": [{"label": label, "text": text} for label, text in mentions]}


def found(output: NerOutput) -> list[tuple[str, str]]:
    return [(each.label, each.text) for each in output.entities]


@pytest.fixture
def find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Find:
    """Run the stage with the engine `llm`, and with others that are named, on a document."""

    async def run(
        server: FaultServer,
        *texts: str,
        engines: tuple[str, ...] = ("llm",),
        services: MemoryServices | None = None,
        params: dict[str, Any] | None = None,
        **settings: str,
    ) -> NerOutput:
        values = {"base_url": server.base_url, "model": "m", "timeout": "30", **settings}
        for name, value in values.items():
            monkeypatch.setenv(f"MILLRACE_LLM_{name.upper()}", value)
        file = tmp_path / "a.txt"
        file.write_text("x")
        chosen = NerParams.model_validate({"engines": engines, **(params or {})})
        output = await run_stage(
            ner, file, earlier=(recognised(*(texts or (TEXT,))),), services=services, params=chosen
        )
        assert isinstance(output, NerOutput)
        return output

    return run


async def test_each_wording_is_found_wherever_the_text_has_it_and_none_is_invented(find: Find) -> None:
    answer = names(
        ("PERSON", "Okafor"),
        ("ORG", "Alder Instruments GmbH"),
        ("DATE", "3 May 2026"),
        ("PERSON", "Alderman"),
        ("ORG", "Okaf"),
        ("PLANET", "Okafor"),
    )
    async with fault_server(says(answer)) as server:
        output = await find(server)
    organisation = [each for each in output.entities if each.label == "ORG"]
    assert [TEXT[each.start : each.end] for each in organisation] == [
        "Alder\nInstruments GmbH",
        "Alder Instruments GmbH",
    ]
    assert len({each.normalized for each in organisation}) == 1
    assert [each.normalized for each in output.entities if each.label == "DATE"] == ["2026-05-03"]
    assert sum(each.label == "PERSON" for each in output.entities) == 2
    assert all(each.engines == ["llm served"] for each in output.entities)
    assert all(each.box for each in output.entities)
    assert output.engine == "llm served"
    assert output.missing == 3
    assert output.usage == Usage(prompt_tokens=10, completion_tokens=2, total_tokens=12)
    assert len(output.groups) == 3


async def test_both_find_what_the_rules_find_too(find: Find) -> None:
    answer = names(("ORG", "Alder Instruments GmbH"), ("REFERENCE", "FM-200"))
    async with fault_server(says(answer)) as server:
        output = await find(server, engines=("rules", "llm"))
    assert output.engine == "rules 2 + llm served"
    by = {each.text: each.engines for each in output.entities}
    assert by["Alder Instruments GmbH"] == ["rules 2", "llm served"]
    assert by["FM-200"] == ["llm served"]
    assert by["DE89 3704 0044 0532 0130 00"] == ["rules 2"]


async def test_labels_of_the_job(find: Find) -> None:
    async with fault_server(says(names(("PRODUCT_NAME", "FM-200")))) as server:
        output = await find(server, params={"llm_labels": ["product name", "Organisation"]})
        sent = server.requests[0].body
    assert found(output) == [("PRODUCT_NAME", "FM-200")]
    mention = sent["response_format"]["json_schema"]["schema"]["properties"]["mentions"]["items"]
    assert mention["properties"]["label"]["enum"] == ["PRODUCT_NAME", "ORG"]
    assert "- PRODUCT_NAME: product name\n- ORG: a company" in sent["messages"][0]["content"]
    assert TEXT in sent["messages"][1]["content"]
    assert TEXT not in sent["messages"][0]["content"]


async def test_a_wrong_answer_is_corrected_once(find: Find) -> None:
    async with fault_server(says({"names": []}), says(names(("PERSON", "Okafor")))) as server:
        output = await find(server)
        again = server.requests[1].body["messages"][-1]["content"]
    assert found(output) == [("PERSON", "Okafor")] * 2
    assert "mentions: Field required" in again
    assert output.usage == Usage(prompt_tokens=20, completion_tokens=4, total_tokens=24)


@pytest.mark.parametrize(
    "long", [says('{"mentions": [', finish="length"), error(400, code="context_length_exceeded")]
)
async def test_a_text_that_is_too_long_is_asked_about_in_halves(find: Find, long: Any) -> None:
    text = f"{'Oak and elm. ' * 30}\n\n{TEXT}"
    async with fault_server(long, says(names(("PERSON", "Okafor")))) as server:
        output = await find(server, text)
    assert found(output) == [("PERSON", "Okafor")] * 2
    assert [text[each.start : each.end] for each in output.entities] == ["Okafor"] * 2
    assert len(server.requests) == 3


async def test_a_half_that_was_answered_is_kept_when_the_other_one_fails(find: Find, tmp_path: Path) -> None:
    services = MemoryServices(tmp_path / "a.txt", {})
    text = f"{'Oak and elm. ' * 30}\n\n{TEXT}"
    too_long = error(400, code="context_length_exceeded")
    async with fault_server(too_long, says(names(("TREE", "Oak"))), status(500)) as server:
        with pytest.raises(PartError, match="llm chunk 1"):
            await find(server, text, services=services, params={"llm_labels": ["tree"]}, remember="0")
    async with fault_server(too_long, says(names(("TREE", "elm")))) as server:
        output = await find(server, text, services=services, params={"llm_labels": ["tree"]}, remember="0")
        assert len(server.requests) == 2
    assert {each.text for each in output.entities} == {"Oak", "elm"}  # of the first half, of the second


async def test_an_answer_without_end_about_little_text_says_what_to_change(find: Find) -> None:
    async with fault_server(says('{"mentions": [', finish="length")) as server:
        with pytest.raises(PartError, match="llm chunk 1") as caught:
            await find(server, "Ms Okafor")
    assert "MILLRACE_LLM_MAX_TOKENS=4096" in str(caught.value.__cause__)
    assert isinstance(caught.value.__cause__, PermanentError)


async def test_finished_chunks_are_never_asked_again(find: Find, tmp_path: Path) -> None:
    services = MemoryServices(tmp_path / "a.txt", {})
    pages = [f"{'Oak and elm. ' * 40}\nMs {name} " for name in ("Okafor", "Adeyemi", "Brandt")]
    settings = {"chunk_tokens": "250", "concurrency": "1", "remember": "0"}
    first, broken = names(("PERSON", "Okafor")), status(500)
    async with fault_server(says(first), broken) as server:
        with pytest.raises(PartError, match="llm chunk 2"):
            await find(server, *pages, services=services, **settings)
    async with fault_server(says(names(("PERSON", "Adeyemi"))), says(names(("PERSON", "Brandt")))) as server:
        output = await find(server, *pages, services=services, **settings)
        assert len(server.requests) == 2
    assert [(each.text, each.page) for each in output.entities] == [
        ("Okafor", 1),
        ("Adeyemi", 2),
        ("Brandt", 3),
    ]
    assert output.usage == Usage(prompt_tokens=30, completion_tokens=6, total_tokens=36)
    assert len(services.spent) == 3
    assert services.used == {"tokens": 36}
    counted = [each for each in services.reported if each.unit == "llm chunk"]
    assert counted[-1].done == counted[-1].total == 3


async def test_what_was_answered_before_is_not_asked_again_unless_it_is_forced(
    find: Find, tmp_path: Path
) -> None:
    services = MemoryServices(tmp_path / "a.txt", {})
    async with fault_server(says(names(("PERSON", "Okafor")))) as server:
        for params, asked in (({}, 1), ({}, 1), ({"llm_force": True}, 2)):
            services.saved.clear()
            output = await find(server, services=services, params=params)
            assert len(server.requests) == asked
            assert len(output.entities) == 2
    assert len(services.spent) == 2


async def test_an_endpoint_that_is_away_charges_no_attempt(find: Find) -> None:
    async with fault_server(status(503)) as server:
        with pytest.raises(PartError) as caught:
            await find(server)
    assert isinstance(caught.value.__cause__, Unavailable)


async def test_a_document_without_text_is_not_sent(find: Find) -> None:
    async with fault_server(says(names())) as server:
        assert (await find(server, " \n ")).entities == []
        assert server.requests == []


async def test_without_an_endpoint_it_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILLRACE_LLM_BASE_URL", raising=False)
    file = tmp_path / "a.txt"
    file.write_text("x")
    with pytest.raises(PermanentError, match="set MILLRACE_LLM_BASE_URL and MILLRACE_LLM_MODEL"):
        await run_stage(
            ner, file, earlier=(recognised(TEXT),), params=NerParams.model_validate({"engines": ["llm"]})
        )


async def test_a_budget_is_kept_across_chunks(find: Find, tmp_path: Path) -> None:
    pages = ["Oak and elm. " * 40] * 3
    services = MemoryServices(tmp_path / "a.txt", {})
    params = {"llm_budget": {"tokens": 12}}
    settings = {"chunk_tokens": "250", "concurrency": "1", "remember": "0"}
    async with fault_server(says(names())) as server:
        with pytest.raises(PartError, match="llm chunk 2") as caught:
            await find(server, *pages, services=services, params=params, **settings)
        assert len(server.requests) == 1
    assert type(caught.value.__cause__).__name__ == "BudgetExceeded"


def test_findings_depend_on_the_model_only_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(params: dict[str, Any]) -> str | None:
        return ner.recipe(params).engine

    monkeypatch.setenv("MILLRACE_LLM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("MILLRACE_LLM_MODEL", "a")
    rules, asked = told({}), told({"engines": ["llm"]})
    monkeypatch.setenv("MILLRACE_LLM_MODEL", "b")
    assert told({}) == rules
    assert told({"engines": ["llm"]}) != asked
    monkeypatch.setenv("MILLRACE_NER_ENGINES", '["rules", "llm"]')
    assert told({}) not in (rules, asked)
