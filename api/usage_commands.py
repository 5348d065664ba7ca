"""The verbs of usage and budgets of the command line."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from api.options import DEFAULT_URL, AsJson, Url, out, print_json
from api.rest_client import RestClient
from api.tables import whole

_COLUMNS = ("requests", "unsettled", "input_tokens", "output_tokens", "pages", "cost")

Kind = Annotated[str, typer.Argument(help="tenant, job or deployment.")]
Name = Annotated[
    str | None, typer.Argument(help="The tenant's name, `*` for each; the job's id; none for the deployment.")
]


def usage(
    job: Annotated[str | None, typer.Option(help="Only this job.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant, whoever asks.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="All tenants.")] = False,
    by: Annotated[str | None, typer.Option(help="Sums by stage, model, day, job or tenant.")] = None,
    since: Annotated[str | None, typer.Option(help="2030-01-31T00:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Not included: 2030-02-01T00:00:00Z.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Groups at most.")] = 100,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Tell what LLM endpoints and the like have been used for, and what it has cost.

    Of your own tenant; --all, --tenant and --by tenant are for operators. Jobs that are removed count too,
    what is under way does not. Unsettled is what got no answer, or lost its worker: by an estimate, rather
    too high.
    """
    if job and (tenant or everybody or since or until):
        raise typer.BadParameter("--job goes with --by and --limit only")
    if tenant and everybody:
        raise typer.BadParameter("give --tenant or --all, not both")
    given = {"tenant": tenant, "by": by, "since": since, "until": until, "limit": str(limit)}
    query = {name: value for name, value in given.items() if value}
    if job:
        path = f"/v1/jobs/{job}/usage"
    else:
        path = "/v1/deployment/usage" if tenant or everybody or by == "tenant" else "/v1/usage"
    found = RestClient(url).get(path, **query)
    if as_json:
        print_json(found)
        return
    keys = whole(by or "", [group["key"] or "?" for group in found["groups"]])
    table = Table(keys, *(name.replace("_", " ") for name in _COLUMNS))
    for group in found["groups"]:
        table.add_row(escape(group["key"] or "?"), *_row(group))
    table.add_row("in all", *_row(found["total"]))
    out.print(table)


def budget(
    kind: Kind,
    name: Name = None,
    cost: Annotated[
        str | None, typer.Option(help="In the currency of MILLRACE_LLM_PRICES: a day, or of the job in all.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Of input and output: the same.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the budget away.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Bound what a tenant or the whole deployment uses in a day (UTC), or a job in all.

    A job that has used up its own ends failed; raise it, and `millrace retry` the job. What would pass one
    for the day waits for the next, and goes on at once when it is raised.
    """
    if remove == bool(cost or tokens):
        raise typer.BadParameter("give --cost, --tokens or both; or --remove")
    subject = f"{kind}:{name}" if name else kind
    client = RestClient(url)
    if remove:
        found = client.post("/v1/unbudget", subject=subject)
    else:
        given = {"cost": cost, "tokens": tokens and str(tokens)}
        query = {option: value for option, value in given.items() if value}
        found = client.post("/v1/budget", subject=subject, **query)
    if as_json:
        print_json(found)
    else:
        what = "has no budget any more" if remove else f"may use {_bounds(found)}"
        out.print(f"{subject.replace(':', ' ', 1)} {what}", markup=False, soft_wrap=True)


def budgets(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the budgets, and what is used of each."""
    found = RestClient(url).get("/v1/budgets")
    if as_json:
        print_json(found)
        return
    table = Table("budget of", "cost", "spent", "tokens", "used")
    for each in found:
        used = each["used"]
        told = (each["cost"], used and used["cost"], each["tokens"], used and _tokens(used))
        table.add_row(escape(each["subject"]), *("" if value is None else str(value) for value in told))
    out.print(table)


def _row(sums: dict[str, Any]) -> list[str]:
    """Return the columns of sums; where requests without a known cost are among them, their number."""
    told = {name: str(sums[name]) for name in _COLUMNS}
    if sums["unpriced"]:
        told["cost"] += f" and {sums['unpriced']} requests of unknown cost"
    return list(told.values())


def _bounds(budget: dict[str, Any]) -> str:
    period = "in all" if budget["subject"].startswith("job:") else "a day"
    told = [budget["cost"], budget["tokens"] and f"{budget['tokens']:,} tokens"]
    return f"{' and '.join(each for each in told if each)} {period}"


def _tokens(used: dict[str, Any]) -> int:
    return int(used["input_tokens"]) + int(used["output_tokens"])
