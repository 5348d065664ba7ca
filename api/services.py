"""What the routes work with, and how they come by it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.seals import Seals
from api.teller import Teller
from pipeline.client import Client
from pipeline.errors import NotFound
from pipeline.feed import Feed
from pipeline.model import is_job_id
from pipeline.settings import ApiSettings
from pipeline.stage import Pipeline
from pipeline.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with; `request.app.state.services`."""

    store: Store
    feed: Feed
    seals: Seals
    teller: Teller
    settings: ApiSettings
    pipelines: dict[str, Pipeline]


# All of these are coroutines: the framework would call plain functions in threads.
async def services(request: Request) -> Services:
    """Return the application's services."""
    found: Services = request.app.state.services
    return found


async def client(request: Request) -> Client:
    """Return the caller's tenant's client."""
    return Client((await services(request)).store)


async def job_id(id: str) -> str:  # noqa: A002 -- the path's own name
    """Check a job id of the path, before it is looked up."""
    if not is_job_id(id):
        raise NotFound(f"there is no job {id[:80]}")
    return id


AService = Annotated[Services, Depends(services)]
AClient = Annotated[Client, Depends(client)]
AJobId = Annotated[str, Depends(job_id)]
