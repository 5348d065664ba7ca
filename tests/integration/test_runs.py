"""The runs of a job: compared field by field, and one of them promoted to be the job's result."""

from typing import Any

import pytest
from anyio import to_thread
from typer.testing import CliRunner

from api.cli import app
from pipeline.client import Client
from pipeline.errors import NotFound, StateConflict
from pipeline.store import Store
from tests.integration.api_server import serving
from tests.integration.test_batches import ended
from tests.integration.test_reprocess import Asking, finished, large
from tests.records import violations
from tests.support import running, submit, until


async def rerun(store: Store, asking: Asking, job: str, model: str) -> None:
    async with running(store, asking.pipeline):
        await Client(store).retry(job, "ask", params={"ask": {"model": model}})
        await until(store, job)


async def text(store: Store, job: str, revision: int | None = None) -> Any:
    return (await Client(store).output(job, "ask", revision))["text"].split(":")[0]


async def test_the_newest_run_that_succeeded_is_the_result_unless_one_is_promoted(store: Store) -> None:
    asking, client = Asking(), Client(store)
    [job] = await finished(store, asking, 1)
    await rerun(store, asking, job, "large")
    assert [await text(store, job, revision) for revision in (None, 1, 2)] == ["large", "small", "large"]
    view = await client.promote(job, 1)
    assert (view.revision, view.promoted) == (2, 1)
    assert await text(store, job) == "small"
    await rerun(store, asking, job, "huge")
    assert await text(store, job) == "small"  # pinned
    assert [each.result for each in await client.runs(job)] == [True, False, False]
    assert (await client.promote(job, None)).promoted is None
    assert await text(store, job) == "huge"
    asking.broken = True
    await rerun(store, asking, job, "broken")
    assert await text(store, job) == "huge"
    runs = await client.runs(job)
    assert [(each.state, each.result) for each in runs[2:]] == [("succeeded", True), ("failed", False)]
    assert [each.stages for each in runs[2:]] == [{"read": 1, "ask": 3}, {"read": 1}]
    with pytest.raises(StateConflict, match=r"revision 4 .* has not succeeded"):
        await client.promote(job, 4)
    with pytest.raises(NotFound, match="no revision 9"):
        await client.promote(job, 9)
    with pytest.raises(NotFound, match="no revision 9"):
        await client.output(job, "ask", 9)
    with pytest.raises(NotFound, match="no output of stage 'ask'"):
        await client.output(job, "ask", 4)
    with pytest.raises(NotFound):
        await Client(store, "acme").promote(job, 1)
    assert await violations(store) == {}


async def test_a_result_is_held_while_many_run_again(store: Store) -> None:
    asking, client = Asking(), Client(store)
    [job] = await finished(store, asking, 1)
    async with running(store, asking.pipeline):
        await ended(store, (await client.reprocess(large(hold=True))).id)
    assert [await text(store, job, revision) for revision in (None, 2)] == ["small", "large"]
    assert (await client.get(job)).promoted == 1
    await client.promote(job, 2)
    assert await text(store, job) == "large"
    assert await violations(store) == {}


async def test_what_is_other_between_two_runs(store: Store) -> None:
    asking, client = Asking(), Client(store)
    [job] = await finished(store, asking, 1)
    with pytest.raises(NotFound, match="no two runs"):
        await client.diff(job)
    asking.tokens = 9
    await rerun(store, asking, job, "large")
    found = await client.diff(job)
    assert (found.before, found.after) == (1, 2)
    read, ask = found.stages
    assert (read.same, read.before, read.after, read.differences) == (True, 1, 1, [])
    assert [(each.path, each.before, each.after) for each in ask.differences] == [
        ("/text", "small: one two three", "large: one two three"),
        ("/usage/total_tokens", 7, 9),
    ]
    assert (await client.diff(job, 2, 1)).stages[1].differences[1].after == 7
    with pytest.raises(NotFound, match="no revision 3"):
        await client.diff(job, 1, 3)


async def test_from_the_command_line_over_rest(store: Store) -> None:
    asking = Asking()
    [job] = await finished(store, asking, 1)
    await rerun(store, asking, job, "large")

    async def told(*command: str) -> str:
        url = ("--url", f"http://127.0.0.1:{served.port}")
        run = CliRunner().invoke
        result = await to_thread.run_sync(lambda: run(app, [*command, *url], env={"COLUMNS": "200"}))
        assert result.exit_code == 0, result.output
        return result.output

    async with serving(store.settings, (asking.pipeline,)) as served:
        assert "~ /text: 'small: one two three' → 'large: one two three'" in await told("diff", job)
        assert "revision 2 → 1" in await told("diff", job, "2", "1")
        assert "is revision 1" in await told("promote", job, "1")
        assert "small: one" in await told("show", job, "--output", "ask")
        assert "large: one" in await told("show", job, "--output", "ask", "--revision", "2")
        assert "read 1, ask 2" in await told("runs", job)
        assert "is its newest run" in await told("promote", job, "--latest")
        answer = await served.http.get(f"/v1/jobs/{job}/diff", params={"from": 1, "to": 2})
        assert answer.json()["stages"][1]["same"] is False
        assert (await served.http.post(f"/v1/jobs/{job}/promote?revision=7")).status_code == 404


async def test_a_job_under_way_gives_what_its_stages_have_done(store: Store) -> None:
    asking, client = Asking(), Client(store)
    asking.broken = True
    async with running(store, asking.pipeline):
        job = (await submit(client, "test")).id
        await until(store, job)
    assert (await client.output(job, "read"))["text"] == "one two three"
    with pytest.raises(NotFound, match="no output of stage 'ask'"):
        await client.output(job, "ask")
