"""What has failed: counted by reason, shown with its attempts, tried again or discarded, one or many."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline import Document, PermanentError, RetryPolicy, StageContext, stage
from pipeline.client import Client
from pipeline.errors import StateConflict
from pipeline.failures import FailureFilter, Failures
from pipeline.settings import WorkerSettings
from pipeline.stage import Pipeline
from pipeline.store import Store
from pipeline.store.changes import FEED
from pipeline.store.failures import BATCH
from pipeline.submission import job_document
from tests.integration.api_server import serving
from tests.records import admitted, violations
from tests.support import Text, running, submit, until

TWICE = RetryPolicy(max_attempts=2, first=timedelta(milliseconds=1))


class Ward:
    """A pipeline whose documents say how they fail; until it is healed."""

    def __init__(self) -> None:
        self.healed = False
        self.pipeline = Pipeline("ward", [self._stage()])

    def _stage(self) -> Any:
        @stage(name="treat", retry=TWICE)
        async def treat(document: Document, context: StageContext) -> Text:
            text = (await document.read()).decode()
            if self.healed:
                return Text(text=text)
            if text == "hopeless":
                raise PermanentError("nothing helps")
            raise OSError(f"no bed for {text}")

        return treat


@pytest.fixture
def ward() -> Ward:
    return Ward()


async def fail(store: Store, ward: Ward, *, tenant: str = "default") -> dict[str, str]:
    """Two jobs that have failed for one reason, and one for another; ids by content."""
    client = Client(store, tenant)
    contents = ("hopeless", "weak", "faint")
    async with running(store, ward.pipeline):
        jobs = {text: (await submit(client, "ward", text.encode())).id for text in contents}
        for job in jobs.values():
            await until_of(client, store, job)
    return jobs


async def until_of(client: Client, store: Store, job: str) -> None:
    if client.tenant == "default":
        await until(store, job)
        return
    async with store.changes.open(FEED) as stream:
        while (await client.get(job)).state not in ("succeeded", "failed"):
            await stream.read()


async def test_failures_are_counted_by_reason_and_show_their_attempts(store: Store, ward: Ward) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    jobs = await fail(store, ward)
    await fail(store, ward, tenant="other")
    failures = Failures(store)
    counts = {(each.tenant, each.stage, each.reason): each.count for each in await failures.counts()}
    assert counts == {
        ("default", "treat", "OSError"): 2,
        ("default", "treat", "PermanentError"): 1,
        ("other", "treat", "OSError"): 2,
        ("other", "treat", "PermanentError"): 1,
    }
    newest = await failures.newest(FailureFilter(tenant="default", reason="OSError"))
    assert {each.job for each in newest} == {jobs["weak"], jobs["faint"]}
    assert newest[0].failed_at >= newest[1].failed_at
    [first, second] = next(each for each in newest if each.job == jobs["weak"]).attempts
    assert (first.attempt, second.attempt, second.stage) == (1, 2, "treat")
    assert (second.type, second.message) == ("OSError", "no bed for weak")
    assert second.trace is not None
    assert "in treat" in second.trace
    assert second.worker
    assert second.at is not None
    assert second.at > before
    assert await Client(store).attempts(jobs["weak"]) == [first, second]
    for nothing in ({"stage": "no"}, {"pipeline": "no"}, {"until": before}, {"since": datetime.now(UTC)}):
        assert await failures.counts(FailureFilter.model_validate(nothing)) == []


async def test_they_are_tried_again_by_filter_and_only_once(store: Store, ward: Ward) -> None:
    jobs = await fail(store, ward)
    failures, which = Failures(store), FailureFilter(reason="OSError", pipeline="ward")
    handled = await failures.retry(which, limit=1)
    assert (handled.handled, handled.left) == (1, 1)
    handled = await failures.retry(which)
    assert (handled.handled, handled.left) == (1, 0)
    assert (await failures.retry(which)).handled == 0
    ward.healed = True
    async with running(store, ward.pipeline):
        for name in ("weak", "faint"):
            assert (await until(store, jobs[name])).state == "succeeded"
    assert (await Client(store).get(jobs["hopeless"])).state == "failed"
    assert await violations(store) == {}


async def test_what_fails_again_meanwhile_is_left_alone(store: Store, ward: Ward) -> None:
    jobs = await fail(store, ward)
    failures = Failures(store)
    first = await failures.retry()
    assert first.handled == 3
    async with running(store, ward.pipeline):
        for job in jobs.values():
            await until(store, job)
    assert (await failures.retry(FailureFilter(until=first.until))).handled == 0
    assert sum(each.count for each in await failures.counts()) == 3


async def test_discarded_ones_are_no_failures_until_they_are_tried_again(store: Store, ward: Ward) -> None:
    jobs = await fail(store, ward)
    client, failures = Client(store), Failures(store)
    view = await client.give_up(jobs["hopeless"])
    assert (view.state, view.discarded_at is not None) == ("failed", True)
    assert await client.give_up(jobs["hopeless"]) == view  # twice is as once
    assert [each.reason for each in await failures.counts()] == ["OSError"]
    assert (await failures.discard(FailureFilter(stage="treat"))).handled == 2
    assert await failures.counts() == []
    assert (await failures.retry()).handled == 0
    view = await client.retry(jobs["weak"])
    assert (view.state, view.discarded_at) == ("running", None)
    with pytest.raises(StateConflict, match="running"):
        await client.give_up(jobs["weak"])


async def test_many_are_handled_in_batches_beside_whoever_is_faster(store: Store) -> None:
    jobs = await admitted(store, BATCH + 20)
    error = {"type": "Odd", "message": "a", "part": None, "stage": "read"}
    failed = {"state": "failed", "finished_at": datetime.now(UTC)}
    await store.db["jobs"].update_many({}, {"$set": {**failed, "error": error}})
    await store.db["tasks"].update_many(
        {}, {"$set": {**failed, "errors": [{"type": "Odd", "message": "a", "attempt": 1}]}}
    )
    await Client(store).retry(jobs[BATCH])
    assert await store.failures.try_again(jobs) == BATCH + 19
    assert await store.db["tasks"].count_documents({"state": "ready", "attempt": 0}) == BATCH + 20
    assert await violations(store) == {}


async def test_a_job_that_failed_before_its_first_stage_is_submitted_again(store: Store, ward: Ward) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    job = job_document("ward", name="a", content=b"weak", deadline=past)
    await store.db["jobs"].insert_one(job)
    ward.healed = True
    async with running(store, ward.pipeline, WorkerSettings()):
        view = await until(store, job["_id"])
        if view.state == "failed":  # ended before it was admitted
            assert (await Failures(store).retry(FailureFilter(reason="DeadlineExceeded"))).handled == 1
            view = await until(store, job["_id"])
    assert view.state == "succeeded"


async def test_over_rest(store: Store, ward: Ward) -> None:
    jobs = await fail(store, ward)
    async with serving(store.settings, (ward.pipeline,)) as served:
        page = await served.get("/v1/failures?reason=PermanentError")
        assert [each["count"] for each in page["counts"]] == [1]
        assert [each["job"] for each in page["failures"]] == [jobs["hopeless"]]
        assert (await served.get("/v1/failures?limit=0"))["failures"] == []
        [attempt] = await served.get(f"/v1/jobs/{jobs['hopeless']}/attempts")
        assert (attempt["type"], attempt["attempt"]) == ("PermanentError", 1)
        discarded = await served.http.post(f"/v1/jobs/{jobs['hopeless']}/discard")
        assert discarded.json()["discarded_at"]
        answer = (await served.http.post("/v1/failures/retry?reason=OSError&limit=1")).json()
        assert (answer["handled"], answer["left"]) == (1, 1)
        answer = (await served.http.post("/v1/failures/discard")).json()
        assert (answer["handled"], answer["left"]) == (1, 0)
        for query in ("resaon=OSError", "limit=0", "since=yesterday"):
            assert (await served.http.post(f"/v1/failures/retry?{query}")).status_code == 422
