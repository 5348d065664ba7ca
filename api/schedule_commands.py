"""`millrace schedule …`: what is due again and again."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from api.options import DEFAULT_URL, AsJson, Url, out, print_json
from api.rest_client import RestClient

app = typer.Typer(name="schedule", help="Jobs and cleanups at fixed times.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A schedule's name: lower-case letters, digits, dashes.")]
Cron = Annotated[str, typer.Option(help="`30 3 * * mon-fri`; with six fields the first are seconds.")]


@app.command()
def put(
    name: Name,
    cron: Cron,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The document that is submitted then."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="A built-in task instead: cleanup.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone, such as Europe/Berlin.")] = "UTC",
    missed: Annotated[str, typer.Option(help="Missed ticks: latest (one fires), all, skip.")] = "latest",
    pipeline: Annotated[str, typer.Option(help="Name of a pipeline.")] = "documents",
    params: Annotated[str | None, typer.Option(help='JSON, by stage: {"ocr": {"dpi": 300}}')] = None,
    priority: Annotated[int, typer.Option(min=-10, max=10)] = 0,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Create a schedule, or replace the one of that name."""
    fields = {"cron": cron, "time_zone": zone, "missed": missed}
    fields |= {"task": task} if task else {"pipeline": pipeline, "priority": str(priority)}
    if params:
        fields["params"] = params
    _show(RestClient(url).put_form(f"/v1/schedules/{name}", fields, file), as_json)


@app.command("list")
def list_(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List all schedules."""
    found = RestClient(url).get("/v1/schedules")
    if as_json:
        print_json(found)
        return
    table = Table("name", "cron", "zone", "what", "next", "fired")
    for each in found:
        what = each["task"] or f"{each['pipeline']}: {each['document']['name']}"
        due = "paused" if each["paused"] else each["next_at"]
        table.add_row(each["name"], each["cron"], each["time_zone"], escape(what), due, str(each["fired"]))
    out.print(table)


@app.command()
def show(name: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show a schedule: when it is due, its last tick, why it is paused."""
    _show(RestClient(url).get(f"/v1/schedules/{name}"), as_json)


@app.command()
def pause(name: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Let no tick fire until it is resumed."""
    _show(RestClient(url).post(f"/v1/schedules/{name}/pause"), as_json)


@app.command()
def resume(name: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Go on with the next tick; those while it was paused were not missed."""
    _show(RestClient(url).post(f"/v1/schedules/{name}/resume"), as_json)


@app.command()
def delete(name: Name, url: Url = DEFAULT_URL) -> None:
    """Remove a schedule; what it has submitted stays."""
    RestClient(url).delete(f"/v1/schedules/{name}")


@app.command()
def retention(
    keep: Annotated[
        str | None, typer.Option(help="How long: P30D, or seconds; `forever`. Without it: show.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show or set how long ended jobs are kept; a schedule of the task `cleanup` removes them then."""
    client = RestClient(url)
    if keep is None:
        found = client.get("/v1/retention")
    else:
        found = client.put_json("/v1/retention", {"keep": None if keep == "forever" else keep})
    if as_json:
        print_json(found)
    else:
        out.print(found["keep"] or "forever")


def _show(schedule: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(schedule)
        return
    due = "paused" if schedule["paused"] else f"due {schedule['next_at']}"
    why = f": {schedule['error']}" if schedule["error"] else ""
    out.print(f"{schedule['name']}  {schedule['cron']}  {due}{why}", markup=False, soft_wrap=True)
    if schedule["last"]:
        told = ", ".join(f"{key} {value}" for key, value in schedule["last"].items())
        out.print(f"last: {told}", markup=False, soft_wrap=True)
