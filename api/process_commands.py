"""The commands that run a process until it is stopped: `up`, `api`, `worker`.

Apart from the others, without what shows tables: a worker that starts again after a crash has work waiting.
"""

from pathlib import Path
from typing import Annotated

import anyio
import typer

from api.logs import configure_logging

Pipelines = Annotated[
    list[str] | None,
    typer.Option(
        "--pipeline",
        help="package.module:name, documents or documents-redacted; may be given again. Default: documents.",
    ),
]
Data = Annotated[
    Path, typer.Option("--data", help="Folder of the embedded MongoDB, when no MILLRACE_MONGODB_URI is set.")
]
Host = Annotated[str, typer.Option(help="Address to bind.")]
Port = Annotated[int, typer.Option(help="Port to bind.")]
Unprotected = Annotated[
    bool,
    typer.Option("--unprotected", help="Allow an address that other machines can reach, without any key."),
]

DEFAULT_DATA = Path(".millrace")

app = typer.Typer(
    name="millrace",
    help="Documents through OCR, named entities and an LLM, on MongoDB change streams.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
"""The whole command line, once `api.cli` is imported, which adds the other commands."""


@app.command()
def up(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    data: Data = DEFAULT_DATA,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes.")] = 1,
    pipeline: Pipelines = None,
    unprotected: Unprotected = False,
) -> None:
    """Run everything here: MongoDB if none is configured, the API, and workers, restarted when they die."""
    from api.up import Plan
    from api.up import up as run

    configure_logging()
    anyio.run(run, Plan(host, port, data, workers, pipeline or [], unprotected))


@app.command()
def api(
    host: Host = "127.0.0.1", port: Port = 8000, pipeline: Pipelines = None, unprotected: Unprotected = False
) -> None:
    """Serve the REST API and the page. Needs MILLRACE_MONGODB_URI."""
    from api.serving import run_api
    from api.wiring import load

    configure_logging()
    run_api(load(pipeline or []), host, port, unprotected=unprotected)


@app.command()
def worker(
    stages: Annotated[str | None, typer.Option(help="Comma-separated names; default: all.")] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Attempts at once; default: MILLRACE_WORKER_SLOTS.")
    ] = None,
    pipeline: Pipelines = None,
    name: Annotated[str | None, typer.Option(help="Unique among all workers; made when not given.")] = None,
) -> None:
    """Run stages. Needs MILLRACE_MONGODB_URI. SIGTERM: finish what runs; again: stop at once."""
    from api.processes import run_worker
    from api.wiring import load
    from pipeline.settings import WorkerSettings

    configure_logging()
    settings = WorkerSettings() if slots is None else WorkerSettings(slots=slots)
    run_worker(load(pipeline or []), settings, stages.split(",") if stages else None, name)
