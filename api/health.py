"""Is it alive, is it ready, and what are the listeners and workers doing."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from api.problems import answers
from pipeline.errors import StoreUnavailable
from pipeline.store import Store
from pipeline.store.changes import cluster_time

router = APIRouter(prefix="/health", responses=answers(503))


class ListenerView(BaseModel):
    """A listener role, as it stands in the database."""

    role: str
    position_at: datetime
    """Cluster time of its saved resume token."""
    saved_at: datetime
    gap: dict[str, Any] | None
    """A stretch of the stream that could not be read and is not reconciled yet."""
    resumed: dict[str, Any] | None
    """Its last resume: by which worker, the token's age in seconds, events replayed."""


class WorkerView(BaseModel):
    """A worker that is alive."""

    name: str
    host: str
    pid: int
    slots: int
    queues: list[str]
    """What it claims: `pipeline@version/stage`."""
    listening: bool | None = None
    """Whether its change stream was well at its last sign of life; without one it finds work by index."""
    started_at: datetime
    seen_at: datetime


class Health(BaseModel):
    """What was checked."""

    status: str
    workers: int | None = None
    """Workers that are alive."""


async def listener_views(store: Store) -> list[ListenerView]:
    """Return all listener roles."""
    return [
        ListenerView(
            role=each["_id"],
            position_at=datetime.fromtimestamp(cluster_time(each["token"]).time, UTC),
            saved_at=each["saved_at"],
            gap=each.get("gap"),
            resumed=each.get("resumed"),
        )
        for each in await store.listeners.list()
    ]


async def worker_views(store: Store) -> list[WorkerView]:
    """Return the workers that are alive; one that was killed counts until its lease ends."""
    return [WorkerView(name=each["_id"], **each) for each in await store.workers.alive()]


@router.get("/live")
async def live() -> Health:
    """Tell that this process answers."""
    return Health(status="alive")


@router.get("/ready")
async def ready(request: Request) -> Health:
    """Tell whether this process can take documents and tell of their progress; 503 when it can't."""
    service = request.app.state.services
    await service.store.ping()
    if not service.feed.healthy:
        raise StoreUnavailable("the change stream does not answer")
    return Health(status="ready", workers=len(await service.store.workers.alive()))
