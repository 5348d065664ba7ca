"""The operator's verbs of the command line: pause, resume, drain, and why a job isn't running."""

import time
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from api.options import DEFAULT_URL, AsJson, JobId, Url, out, print_json
from api.rest_client import RestClient

Kind = Annotated[str, typer.Argument(help="stage, pipeline, tenant, worker or service.")]
Name = Annotated[str, typer.Argument(help="Its name; of a stage `pipeline/stage`, as in documents/ocr.")]
Why = Annotated[str | None, typer.Option("--reason", help="Told to everybody who asks why.")]

_LOOK_AGAIN = 0.5
"""Seconds between two looks at what a drained worker still runs."""


def pause(
    kind: Kind, name: Name, reason: Why = None, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Let nothing of a stage, a pipeline or a tenant, or that uses a service, begin. What runs goes on."""
    _tell(RestClient(url).post("/v1/pause", subject=f"{kind}:{name}", **_reason(reason)), "paused", as_json)


def resume(kind: Kind, name: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Let what was paused go on, or what uses a service that was away."""
    _tell(RestClient(url).post("/v1/resume", subject=f"{kind}:{name}"), "resumed", as_json)


def pauses(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List what is paused, drained workers included."""
    found = RestClient(url).get("/v1/pauses")
    if as_json:
        print_json(found)
        return
    table = Table("paused", "since", "reason")
    for each in found:
        table.add_row(each["subject"], each["at"], escape(each["reason"] or ""))
    out.print(table)


def services(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the outside services that are left alone: why, and until when. `resume service NAME` ends that."""
    found = RestClient(url).get("/v1/services")
    if as_json:
        print_json(found)
        return
    table = Table("service", "state", "until", "failures", "reason", "parked")
    for each in found:
        name, stages = each["subject"].partition(":")[2], "\n".join(each["stages"])
        told = (each["until"] or "resumed", str(each["failures"]), each["reason"], stages)
        table.add_row(escape(name), each["state"], *map(escape, told))
    out.print(table)


def limit(
    kind: Annotated[str, typer.Argument(help="stage, tenant or key.")],
    name: Annotated[str, typer.Argument(help="Its name; `*` for each, `openai/*` for each that begins so.")],
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Tasks that may run at once, over all workers.")
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(min=1, help="Tasks that may begin in each interval, or units of another kind."),
    ] = None,
    per: Annotated[float, typer.Option(min=0.1, help="The interval, in seconds.")] = 60,
    unit: Annotated[
        str, typer.Option(help="Of the rate: tasks, or what a stage names as its cost: tokens, pages.")
    ] = "tasks",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Limit how many tasks of a stage, a tenant or a key run at once, or begin in an interval; all workers.

    What it is limited to besides stays: the number at once, and a rate of each other unit.
    """
    wanted = {} if concurrency is None else {"concurrency": str(concurrency)}
    if rate is not None:
        wanted |= {"rate": str(rate), "per": str(per), "unit": unit}
    found = RestClient(url).post("/v1/limit", subject=f"{kind}:{name}", **wanted)
    _tell(found, f"limited to {_limits_of(found)}", as_json)


def unlimit(
    kind: Annotated[str, typer.Argument(help="stage, tenant or key.")],
    name: Annotated[str, typer.Argument(help="Its name, as it was limited.")],
    concurrency: Annotated[
        bool, typer.Option("--concurrency", help="Only how many may run at once.")
    ] = False,
    rate: Annotated[bool, typer.Option("--rate", help="Only its rates, or the one of --unit.")] = False,
    unit: Annotated[str | None, typer.Option(help="Of the one rate to take away; implies --rate.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Take the limits of a stage, a tenant or a key away: all of them, or those that are named."""
    wanted = {each: "true" for each, chosen in (("concurrency", concurrency), ("rate", rate)) if chosen}
    if unit is not None:
        wanted["unit"] = unit
    found = RestClient(url).post("/v1/unlimit", subject=f"{kind}:{name}", **wanted)
    left = _limits_of(found)
    _tell(found, f"limited to {left}" if left else "not limited any more", as_json)


def limits(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the limits, how many tasks run under each, and what is left of the rates."""
    found = RestClient(url).get("/v1/limits")
    if as_json:
        print_json(found)
        return
    table = Table("limited", "at once", "running", "rate", "left")
    for each in found:
        counts = ["" if each[name] is None else str(each[name]) for name in ("concurrency", "running")]
        left = ["" if rate["left"] is None else f"{rate['left']:.0f}" for rate in each["rates"]]
        table.add_row(escape(each["subject"]), *counts, "\n".join(map(_rate, each["rates"])), "\n".join(left))
    out.print(table)


def drain(
    worker: Annotated[str, typer.Argument(help="A worker's name.")],
    reason: Why = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it runs nothing any more.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Let a worker begin nothing more; what it runs goes on. `resume worker NAME` undoes it."""
    client = RestClient(url)
    found = client.post(f"/v1/workers/{worker}/drain", **_reason(reason))
    while wait and found["running"]:
        time.sleep(_LOOK_AGAIN)
        found = client.post(f"/v1/workers/{worker}/drain")
    if as_json:
        print_json(found)
    else:
        out.print(f"{worker} is drained, and runs {found['running']}", markup=False, soft_wrap=True)


def why(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Tell why a job isn't running."""
    found = RestClient(url).get(f"/v1/jobs/{job}/why")
    if as_json:
        print_json(found)
        return
    at = f", stage {found['stage']}" if found["stage"] else ""
    out.print(f"{found['state']}{at}:", highlight=False, markup=False)
    for reason in found["reasons"]:
        out.print(f"  {reason['message']}", highlight=False, markup=False, soft_wrap=True)


def _limits_of(limit: dict[str, Any]) -> str:
    at_once = [] if limit["concurrency"] is None else [f"{limit['concurrency']} at once"]
    return ", ".join([*at_once, *map(_rate, limit["rates"])])


def _rate(rate: dict[str, Any]) -> str:
    return f"{rate['amount']} {rate['unit']} in {rate['per']:g} s"


def _reason(reason: str | None) -> dict[str, str]:
    return {"reason": reason} if reason else {}


def _tell(pause: dict[str, Any], what: str, as_json: bool) -> None:
    if as_json:
        print_json(pause)
    else:
        out.print(f"{pause['subject'].replace(':', ' ', 1)} is {what}", markup=False, soft_wrap=True)
