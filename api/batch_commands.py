"""`millrace batch …`: many documents as one."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.options import DEFAULT_URL, AsJson, Url, out, print_json
from api.rest_client import RestClient
from api.tables import whole

app = typer.Typer(
    name="batch", help="Many documents as one: totals, progress, one end.", no_args_is_help=True
)

BatchId = Annotated[str, typer.Argument(help="A batch's id.")]


@app.command()
def create(
    total: Annotated[
        int | None, typer.Option(min=0, help="How many jobs it will have; else it ends after `close`.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name, for people.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Create a batch, for `millrace submit --into`."""
    new = {"total": total, **({"name": name} if name else {})}
    _show(RestClient(url).post_json("/v1/batches", new), as_json)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """List the newest batches."""
    page = RestClient(url).get("/v1/batches", limit=limit)
    if as_json:
        print_json(page["batches"])
        return
    found = page["batches"]
    table = Table(whole("id", [batch["id"] for batch in found]), "name", "state", "jobs")
    for batch in found:
        table.add_row(batch["id"], escape(batch["name"] or ""), batch["state"], _counted(batch))
    out.print(table)


@app.command()
def show(batch: BatchId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show a batch: how many of its jobs are in each state."""
    _show(RestClient(url).get(f"/v1/batches/{batch}"), as_json)


@app.command()
def close(batch: BatchId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Let a batch have the jobs that it has by now: it ends with the last of them."""
    _show(RestClient(url).post(f"/v1/batches/{batch}/close"), as_json)


@app.command()
def cancel(batch: BatchId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Cancel every job of a batch that has not ended."""
    _show(RestClient(url).post(f"/v1/batches/{batch}/cancel"), as_json)


@app.command()
def watch(batch: BatchId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show a batch's progress until it has ended. Exit code 1 unless all of its jobs have succeeded."""
    watch_batch(RestClient(url), batch, as_json=as_json)


def watch_batch(client: RestClient, batch: str, *, as_json: bool) -> None:
    """Show progress until the batch has ended, then what became of it.

    Raises:
        typer.Exit: 1, when not all of its jobs have succeeded.
    """
    columns = (BarColumn(bar_width=40), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=out, disable=as_json) as progress:
        bar = progress.add_task("", total=None)
        for event, data in client.events(f"/v1/batches/{batch}/events"):
            if event == "batch":
                progress.update(bar, total=data["total"], completed=_ended(data), description=_counted(data))
    ended = client.get(f"/v1/batches/{batch}")
    _show(ended, as_json)
    if ended["state"] != "succeeded":
        raise typer.Exit(1)


def _show(batch: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(batch)
    else:
        out.print(f"{batch['id']}  {batch['state']}  {_counted(batch)}", markup=False, soft_wrap=True)


def _ended(batch: dict[str, Any]) -> int:
    return sum(batch["jobs"][state] for state in ("succeeded", "failed", "cancelled"))


def _counted(batch: dict[str, Any]) -> str:
    states = ", ".join(f"{count} {state}" for state, count in batch["jobs"].items() if count)
    total = "" if batch["total"] is None else f" of {batch['total']}"
    return f"{states or 'no jobs'}{total}"
