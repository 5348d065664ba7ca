"""Usage and budgets by REST and by the command line."""

import json
from decimal import Decimal

import anyio
import pytest
from openapi_spec_validator import validate
from typer.testing import CliRunner

from api.cli import app
from pipeline.model import Task
from pipeline.store import Store
from pipeline.store.usage import asked_record, usage_record
from pipeline.usage import Spent
from tests.integration.api_server import Api, serving
from tests.integration.test_rest import check_problem
from tests.records import claimed


async def two_tenants(store: Store) -> Task:
    """One request of our own, and one of acme's, which costs more."""
    [task] = await claimed(store)
    own = usage_record(task, Spent("small", 10, 2, cost=Decimal("0.1")))
    await store.usage.keep(own)
    await store.usage.keep(usage_record(task, Spent("large", 30, 6)) | {"tenant": "acme", "job": "acme.1"})
    return task


async def test_a_tenant_sees_its_own_usage_and_an_operator_everybodys(store: Store) -> None:
    task = await two_tenants(store)
    async with serving(store.settings) as api:
        own = await api.get("/v1/usage?by=model")
        assert own["total"] == {
            "requests": 1,
            "input_tokens": 10,
            "output_tokens": 2,
            "pages": 0,
            "cost": "0.1",
            "unpriced": 0,
            "unsettled": 0,
        }
        assert [each["key"] for each in own["groups"]] == ["small"]
        assert (await api.get(f"/v1/jobs/{task.job}/usage"))["total"] == own["total"]
        everybody = await api.get("/v1/deployment/usage?by=tenant")
        assert {each["key"]: each["input_tokens"] for each in everybody["groups"]} == {
            "default": 10,
            "acme": 30,
        }
        assert (await api.get("/v1/deployment/usage?tenant=acme"))["total"]["requests"] == 1
        check_problem(await api.http.get("/v1/jobs/acme.1/usage"), 404)
        check_problem(await api.http.get("/v1/usage?by=weather"), 422, "by")
        check_problem(await api.http.get("/v1/usage?since=2030-01-01T00:00:00"), 422, "since")
        validate(await api.get("/openapi.json"))


async def test_budgets_are_set_listed_and_taken_away(store: Store) -> None:
    await two_tenants(store)
    async with serving(store.settings) as api:
        given = {"subject": "tenant:acme", "cost": "5.00", "tokens": "100"}
        made = (await api.http.post("/v1/budget", params=given)).json()
        assert (made["cost"], made["tokens"], made["used"]["input_tokens"]) == ("5.00", 100, 30)
        [listed] = await api.get("/v1/budgets")
        assert listed == made
        for wrong, status in (
            ({"subject": "stage:documents/llm", "cost": "1"}, 404),
            ({"subject": "deployment", "cost": "0"}, 422),
            ({"subject": "deployment", "tokens": "-1"}, 422),
            ({"subject": "deployment"}, 400),
        ):
            check_problem(await api.http.post("/v1/budget", params=wrong), status)
        assert (await api.http.post("/v1/unbudget", params={"subject": "tenant:acme"})).status_code == 200
        check_problem(await api.http.post("/v1/unbudget", params={"subject": "tenant:acme"}), 404, "none")


@pytest.fixture
def no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")


async def said(api: Api, *words: str, code: int = 0) -> str:
    """Run a command against the API; return what it prints."""
    url = f"http://127.0.0.1:{api.port}"
    result = await anyio.to_thread.run_sync(lambda: CliRunner().invoke(app, [*words, "--url", url]))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.usefixtures("no_color")
async def test_the_command_line(store: Store) -> None:
    task = await two_tenants(store)
    async with serving(store.settings) as api:
        assert json.loads(await said(api, "usage", "--json"))["total"]["input_tokens"] == 10
        assert json.loads(await said(api, "usage", "--all", "--json"))["total"]["input_tokens"] == 40
        told = json.loads(await said(api, "usage", "--job", task.job, "--by", "stage", "--json"))
        assert [each["key"] for each in told["groups"]] == ["read"]
        told = json.loads(await said(api, "usage", "--tenant", "acme", "--json"))
        assert told["total"]["unpriced"] == 1
        lost = asked_record(task, Spent("small", 100, 50)) | {"asked": "an attempt that is gone"}
        await store.usage.ask(lost)
        assert (await api.get("/v1/usage"))["total"]["unsettled"] == 1
        rows = [line.split("│") for line in (await said(api, "usage", "--by", "model")).splitlines()]
        assert ["small", "2", "1"] in [[cell.strip() for cell in row[1:4]] for row in rows]
        assert "acme may use 5 and 1,000 tokens a day" in await said(
            api, "budget", "tenant", "acme", "--cost", "5", "--tokens", "1000"
        )
        assert json.loads(await said(api, "budgets", "--json"))[0]["subject"] == "tenant:acme"
        assert "no budget any more" in await said(api, "budget", "tenant", "acme", "--remove")
        await said(api, "budget", "tenant", "acme", code=2)
        await said(api, "usage", "--job", task.job, "--all", code=2)
