"""Which versions of pipelines there are, what still runs on each, and who can run it."""

from pydantic import BaseModel

from pipeline.model import queue_name
from pipeline.store import Store


class VersionView(BaseModel):
    """One version of a pipeline."""

    pipeline: str
    version: int
    newest: bool
    submitted: int
    """Jobs that are to begin in this version, and no other."""
    ready: int
    """Tasks that wait; a job under way has one open task."""
    running: int
    """Tasks that are being worked on."""
    workers: list[str]
    """Those alive that claim some stage of it."""
    jobs: list[str]
    """Some of the jobs that are under way, as many as were asked for."""


async def versions(store: Store, *, jobs: int = 0) -> list[VersionView]:
    """Return every version ever registered, by name, the newest first; with at most `jobs` of each."""
    alive = {each["_id"]: each.get("queues", ()) for each in await store.workers.alive()}
    running = await store.versions.running()
    found: list[VersionView] = []
    for record in await store.pipelines.list():
        key = name, version = record["name"], int(record["version"])
        beginning = queue_name(name, version, "")
        found.append(
            VersionView(
                pipeline=name,
                version=version,
                newest=not found or found[-1].pipeline != name,
                submitted=await store.versions.submitted(key),
                ready=await store.versions.ready(key),
                running=running[key],
                workers=[
                    worker
                    for worker, queues in alive.items()
                    if any(queue.startswith(beginning) for queue in queues)
                ],
                jobs=list(await store.versions.jobs(key, jobs)) if jobs else [],
            )
        )
    return found
