"""What has to be true after all of it, and what isn't."""

from collections import Counter
from typing import Any

from tests.chaos.submitter import Submitter
from tests.chaos.town import SLOTS, Town
from tests.records import AT_ONCE

OPEN = ("submitted", "running")
DEATHS = ("WorkerDied", "ChildProcessDied")


async def broken_promises(town: Town) -> list[str]:
    """Audit the whole database, bytes of nobody counting from the start."""
    await town.store.documents.sweep(AT_ONCE)
    return [
        f"{each.promise} {each.title}: {each.violations}, such as {', '.join(each.examples)}"
        for each in await town.store.audit(AT_ONCE)
        if each.violations
    ]


async def wrong_ends(town: Town, people: Submitter) -> tuple[list[str], Counter[str]]:
    """Return the papers whose one job is not there, or not in a state that it may be in; and all states."""
    jobs: dict[str, list[dict[str, Any]]] = {}
    async for job in town.store.db["jobs"].find({}, {"idempotency_key": 1, "state": 1}):
        jobs.setdefault(job["idempotency_key"], []).append(job)
    wrong = [f"there is a job of {key}, which nobody submitted" for key in jobs.keys() - _keys(people)]
    for paper in people.papers:
        found = [(job["_id"], job["state"]) for job in jobs.get(paper.key, [])]
        if len(found) != 1 or found[0][0] != paper.job or found[0][1] not in paper.ends:
            wrong.append(f"{paper.key}: {found}, not one of {paper.job} in {sorted(paper.ends)}")
    return wrong, Counter(job["state"] for each in jobs.values() for job in each)


def _keys(people: Submitter) -> set[str]:
    return {paper.key for paper in people.papers}


async def charged(town: Town) -> tuple[list[str], Counter[str]]:
    """Return the attempts that were charged though nobody killed their process; and all errors by type."""
    deeds, wrong = town.deeds, []
    errors: Counter[str] = Counter()
    by_worker: Counter[str] = Counter()
    async for task in town.store.db["tasks"].find({}, {"attempt": 1, "state": 1, "errors": 1}):
        types = Counter(each["type"] for each in task["errors"])
        errors += types
        by_worker.update(each["worker"] for each in task["errors"] if each["type"] == "WorkerDied")
        deaths = sum(types[name] for name in DEATHS)
        if task["state"] == "succeeded" and task["attempt"] > 1 + deaths:
            wrong.append(f"{task['_id']}: {task['attempt']} attempts after {dict(types)}")
    for worker, times in by_worker.items():
        if worker not in deeds.killed | deeds.paused:
            wrong.append(f"{worker} lost {times} tasks, and was neither killed nor paused")
        elif times > 2 * SLOTS:  # those that it ran, and those that it had claimed when they ended
            wrong.append(f"{worker} lost {times} tasks, and has {SLOTS} slots")
    if errors["ChildProcessDied"] > deeds.children_killed:
        wrong.append(
            f"{errors['ChildProcessDied']} child processes died, {deeds.children_killed} were killed"
        )
    return wrong, errors


async def unended(town: Town) -> list[str]:
    """Return the jobs that have not ended."""
    return [job["_id"] async for job in town.store.db["jobs"].find({"state": {"$in": OPEN}}, {"_id": 1})]
