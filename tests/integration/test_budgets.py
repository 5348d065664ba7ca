"""Budgets: a job stops at its own, and at a day's it waits; both go on where they were, once they may."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from pipeline.budgets import release_if_changed
from pipeline.client import Client
from pipeline.errors import NotFound
from pipeline.model import Snoozed
from pipeline.operator import Operator
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from pipeline.store.usage import Usage, usage_record
from pipeline.transitions import snooze
from pipeline.usage import Spent
from pipeline.views import JobView
from tests.integration.paying import ONE, PAYING, Use, document
from tests.llm_faults import ANSWER, Say, fault_server, says, status
from tests.records import claimed, committing, stored, violations
from tests.support import running, submit, until

DAY = timedelta(days=1)


async def until_snoozed(store: Store, job: str, times: int = 1) -> JobView:
    """Wait until a job's LLM stage has put off its work."""
    with anyio.fail_after(60):
        async with store.changes.open(FEED) as stream:
            while True:
                task = await store.db["tasks"].find_one({"_id": f"{job}:llm:1"})
                if task and task["state"] == "ready" and task.get("snoozed", {}).get("times") == times:
                    return await Client(store, task["tenant"]).get(job)
                await stream.read()
    raise AssertionError("not reached")


@pytest.mark.parametrize(
    ("params", "settings", "said"),
    [
        ({"tokens": 20}, {"job_tokens": "9999"}, "24 of 20 tokens"),
        (None, {"job_cost": "0.000005"}, "0.0000054 of 0.000005"),
    ],
    ids=["tokens of a job", "cost of all jobs"],
)
async def test_a_job_stops_at_its_budget_and_goes_on_from_there_when_it_is_raised(
    store: Store, use: Use, params: dict[str, float] | None, settings: dict[str, str], said: str
) -> None:
    given = {"params": {"llm": {"budget": params}}} if params else {}
    async with fault_server(says(ANSWER)) as server, running(store, PAYING):
        use(server, **settings)
        job = (await submit(Client(store), "paying", document(3), **given)).id
        view = await until(store, job)
        assert view.state == "failed"
        assert view.error is not None
        assert view.error.type == "BudgetExceeded"
        assert said in view.error.message
        assert f"millrace budget job {job}" in view.error.message
        assert view.stages[-1].attempt == 1
        assert len(server.requests) == 2
        await Client(store).retry(job)  # not raised: nothing more is asked
        assert (await until(store, job)).state == "failed"
        assert len(server.requests) == 2
        budget = await Operator(store).budget(f"job:{job}", tokens=1000)
        assert budget.used is not None
        assert (budget.used.tokens, budget.used.cost) == (24, 2 * ONE)
        await Client(store).retry(job)
        assert (await until(store, job)).state == "succeeded"
        asked = len(server.requests)
    assert asked == 4  # three chunks and their merge: the finished ones were not paid again
    assert (await Client(store).usage(job=job)).total.requests == asked
    assert await violations(store) == {}


@pytest.mark.parametrize(
    ("subject", "change"), [("tenant:acme", "raised"), ("tenant:*", "removed"), ("deployment", "raised")]
)
async def test_over_the_days_budget_a_job_waits_for_the_next_or_for_a_change(
    store: Store, use: Use, subject: str, change: str
) -> None:
    client, operator = Client(store, "acme"), Operator(store)
    await operator.budget(subject, tokens=12)
    async with fault_server(says(ANSWER)) as server, running(store, PAYING):
        use(server)
        first = await submit(client, "paying", document(1))
        assert (await until(store, first.id)).state == "succeeded"
        job = (await submit(client, "paying", document(1, "Ash."))).id
        view = await until_snoozed(store, job)
        assert (view.state, view.stages[-1].state, view.stages[-1].attempt) == ("running", "ready", 0)
        [reason] = (await client.why(job)).reasons
        assert (reason.kind, reason.subject) == ("budget", subject)
        assert "12 of 12 tokens are used" in reason.message
        tomorrow = (datetime.now(UTC) + DAY).date()
        assert reason.until is not None
        assert abs(reason.until - datetime(*tomorrow.timetuple()[:3], tzinfo=UTC)) < timedelta(minutes=1)
        other = await submit(Client(store, "birch"), "paying", document(1))
        if subject != "deployment":
            assert (await until(store, other.id)).state == "succeeded"
        asked = len(server.requests)
        await (operator.budget(subject, tokens=1000) if change == "raised" else operator.unbudget(subject))
        assert (await until(store, job)).state == "succeeded"
        assert (await until(store, other.id)).state == "succeeded"
        assert len(server.requests) == asked + (2 if subject == "deployment" else 1)
    assert await violations(store) == {}


async def test_what_waits_is_found_without_change_streams(store: Store, use: Use) -> None:
    operator, client = Operator(store), Client(store)
    await operator.budget("tenant:default", cost=ONE)
    settings = WorkerSettings(listen=False)
    async with fault_server(says(ANSWER)) as server, running(store, PAYING, settings):
        use(server)
        job = (await submit(client, "paying", document(2))).id
        await until_snoozed(store, job)
        await operator.unbudget("tenant:default")
        assert (await until(store, job)).state == "succeeded"


async def test_another_day_has_its_own_budget_and_a_tenants_own_goes_before_each(
    store: Store, use: Use
) -> None:
    operator, client = Operator(store), Client(store, "acme")
    await operator.budget("tenant:*", tokens=1)
    await operator.budget("tenant:acme", tokens=13)
    async with fault_server(says(ANSWER)) as server, running(store, PAYING):
        use(server)
        for words in ("Ash.", "Elm."):
            job = await submit(client, "paying", document(1, words))
            assert (await until(store, job.id)).state == "succeeded"
        usage = store.db["usage"]
        await usage.update_many(
            {}, [{"$set": {"at": {"$subtract": ["$at", DAY // timedelta(milliseconds=1)]}}}]
        )
        job = await submit(client, "paying", document(1, "Oak."))
        assert (await until(store, job.id)).state == "succeeded"
        assert (await operator.budgets())[1].used == (await client.usage(job=job.id)).total


async def test_a_budget_that_changes_while_a_task_is_put_off_is_not_missed(store: Store) -> None:
    [task] = await claimed(store)
    outcome = Snoozed(DAY, "used up", budget="tenant:default", seen={})
    async with committing(store) as commits:
        assert await commits.commit([snooze(task, *list_of(outcome))]) == [None]
    await release_if_changed(store, task, outcome)
    assert (await stored(store, task.id))["lease"]["until"] is not None
    # As if this had come after the task looked, and before it was put off.
    await store.db["budgets"].insert_one(
        {"_id": "deployment", "cost": None, "tokens": 9, "version": 1, "at": datetime.now(UTC)}
    )
    await release_if_changed(store, task, outcome)
    assert (await stored(store, task.id))["lease"]["until"] is None


def list_of(outcome: Snoozed) -> tuple[timedelta, str, str | None]:
    return outcome.delay, outcome.why, outcome.budget


async def test_other_delayed_tasks_wait_on(store: Store) -> None:
    tasks = await claimed(store, 2)
    async with committing(store) as commits:
        changes = [snooze(tasks[0], DAY, "later"), snooze(tasks[1], DAY, "used up", "tenant:default")]
        assert await commits.commit(changes) == [None, None]
    await Operator(store).budget("tenant:acme", tokens=1)
    assert all([(await stored(store, task.id))["lease"]["until"] for task in tasks])
    await Operator(store).budget("tenant:default", tokens=1)
    assert [(await stored(store, task.id))["lease"]["until"] is None for task in tasks] == [False, True]


@pytest.mark.parametrize(
    ("answer", "settings", "words"),
    [
        (says(ANSWER), {"prices": "{}"}, "MILLRACE_LLM_PRICES has no price for 'm'"),
        (status(200, b'{"choices":[{"message":{"content":"{}"}}]}'), {}, "does not tell how many tokens"),
    ],
)
async def test_a_budget_that_cannot_be_kept_is_refused(
    store: Store, use: Use, answer: Say, settings: dict[str, str], words: str
) -> None:
    await Operator(store).budget("tenant:default", cost=ONE)
    async with fault_server(answer) as server, running(store, PAYING):
        use(server, **settings)
        job = (await submit(Client(store), "paying", document(1))).id
        view = await until(store, job)
    assert view.error is not None
    assert words in view.error.message
    assert len(server.requests) == (0 if settings else 1)


async def test_what_can_have_no_budget_says_so(store: Store) -> None:
    operator = Operator(store)
    for subject in ("stage:documents/llm", "tenant:A B", "job:default.0", "told", "tenant:", "job:"):
        with pytest.raises(NotFound):
            await operator.budget(subject, tokens=1)
    for bounds in ({}, {"tokens": 0}, {"tokens": -1}):
        with pytest.raises(ValueError, match="more than 0"):
            await operator.budget("deployment", **bounds)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="no budget"):
        await operator.unbudget("deployment")


async def test_what_is_added_up_once_is_not_read_again_and_nothing_is_missed(store: Store) -> None:
    [task] = await claimed(store)
    await store.usage.keep(usage_record(task, Spent("m", 10, 2, cost=ONE)))
    [record] = await store.db["usage"].find().to_list()
    midnight = datetime.combine(record["at"].date(), datetime.min.time(), UTC)
    at = midnight + (record["at"] - midnight) / 2
    early = [{**record, "_id": number, "at": at} for number in range(500)]
    await store.db["usage"].insert_many(early)

    async def read() -> tuple[int, int]:
        await store.db.command("profile", 2)
        total = await store.usage.today("default")
        await store.db.command("profile", 0)
        [answer] = await store.db["system.profile"].find({"command.aggregate": "usage"}).to_list()
        await store.db.drop_collection("system.profile")
        return total.requests, answer["keysExamined"]

    assert await read() == (501, 501)
    other = Usage(store.db)  # another process
    await other.keep(usage_record(task, Spent("m", 10, 2, cost=ONE)))
    requests, keys = await read()
    assert requests == 502
    assert keys <= 3
    assert (await store.usage.today("default")).cost == 502 * ONE == (await other.today("default")).cost


async def test_a_days_usage_and_a_jobs_are_read_from_index_keys_alone(store: Store) -> None:
    [task] = await claimed(store)
    await store.usage.keep(usage_record(task, Spent("m", 10, 2, cost=ONE)))
    [record] = await store.db["usage"].find().to_list()
    others = []
    for number in range(3000):
        tenant, job = ("default", "other")[number % 2], f"other.{number}"
        at = record["at"] - timedelta(days=1, seconds=number)
        others.append({**record, "_id": number, "tenant": tenant, "job": job, "at": at})
    await store.db["usage"].insert_many(others)
    await store.db.command("profile", 2)
    assert (await store.usage.today("default")).tokens == 12
    assert (await store.usage.today(None)).tokens == 12
    assert (await store.usage.of_job("default", task.job)).tokens == 12
    await store.db.command("profile", 0)
    found = await store.db["system.profile"].find({"command.aggregate": "usage"}).sort("ts", 1).to_list()
    assert [each["planSummary"].split()[0] for each in found] == ["IXSCAN"] * 3
    assert [each["docsExamined"] for each in found] == [0, 0, 1]
    assert all(each["keysExamined"] <= 2 for each in found)
