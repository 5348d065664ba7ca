"""The FastAPI application, and how to put workers inside one's own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from api import (
    batches,
    failures,
    health,
    operations,
    pages,
    reprocessing,
    rest,
    schedules,
    streams,
    submissions,
    usage,
)
from api.page import page_routes
from api.problems import install_handlers
from api.seals import KEY_BYTES, KEY_NAME, Seals
from api.services import Services
from api.teller import Teller
from pipeline.feed import Feed
from pipeline.processes import Processes
from pipeline.settings import ApiSettings, StoreSettings, WorkerSettings
from pipeline.stage import Pipeline
from pipeline.store import Store
from pipeline.worker import Worker


def create_app(
    pipelines: Sequence[Pipeline],
    store_settings: StoreSettings | None = None,
    settings: ApiSettings | None = None,
    *,
    worker: WorkerSettings | None = None,
) -> FastAPI:
    """Return the application: REST, event streams and the page. It connects when it starts.

    Args:
        pipelines: Those whose params it checks; jobs of others are taken too, once a worker hosts them.
        store_settings: Where the database is; from the environment when not given.
        settings: How the API behaves; from the environment when not given.
        worker: Run a worker of these pipelines in this process too, on the same change stream. It stops
            with the application, as after SIGTERM.
    """
    settings = settings or ApiSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Store(store_settings or StoreSettings()) as store:
            await store.install()
            feed = Feed(store.changes)
            seals = Seals(await store.keys.get(KEY_NAME, KEY_BYTES))
            known = {each.name: each for each in sorted(pipelines, key=lambda each: each.version)}
            store.pipelines.know(pipelines)
            app.state.services = Services(store, feed, seals, Teller(seals), settings, known)
            async with anyio.create_task_group() as group, Processes(1) as children:
                app.state.children = children
                if worker is None:
                    group.start_soon(feed.run)
                    yield
                    group.cancel_scope.cancel()
                else:
                    inside = Worker(store, pipelines, worker, feed=feed)
                    await group.start(inside.run)
                    yield
                    inside.stop()

    app = FastAPI(
        title="Millrace",
        version=version("millrace"),
        summary="Documents through OCR, named entities and an LLM, resumed after any crash.",
        lifespan=lifespan,
    )
    # FastAPI writes 3.1.0 by default, and describes event streams with 3.2's `itemSchema`.
    app.openapi_version = "3.2.0"
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.allowed_hosts, www_redirect=False)
    install_handlers(app)
    for routes in (
        submissions,
        rest,
        pages,
        failures,
        batches,
        reprocessing,
        schedules,
        operations,
        usage,
        streams,
        health,
    ):
        app.include_router(routes.router)
    app.router.routes.extend(page_routes())
    return app
