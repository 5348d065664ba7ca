"""`millrace plan` and `millrace reprocess`: ended jobs run again where something would be other."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from api.batch_commands import watch_batch
from api.options import DEFAULT_URL, AsJson, Url, out, print_json, read_params
from api.rest_client import RestClient
from pipeline.usage import told

FILTERS = ("state", "type", "pipeline", "batch")

Stage = Annotated[
    str | None, typer.Option(help="No stage before this one; without it, any that would give something else.")
]
Model = Annotated[str | None, typer.Option(help='The param `model` of --stage: as {"llm": {"model": …}}.')]
Params = Annotated[
    str | None,
    typer.Option(help='JSON by stage, over those of each job; null removes one: {"ocr": {"dpi": 300}}'),
]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="state=succeeded (default), failed or cancelled; type=application/pdf, pipeline=NAME, batch=ID.",
    ),
]
Since = Annotated[str | None, typer.Option(help="Submitted then or later: 2030-01-31T08:00:00Z.")]
Until = Annotated[str | None, typer.Option(help="Submitted then or before.")]
Force = Annotated[bool, typer.Option("--force", help="Run every stage from --stage on, reuse nothing.")]


def plan(
    stage: Stage = None,
    model: Model = None,
    params: Params = None,
    filters: Filter = None,
    since: Since = None,
    until: Until = None,
    force: Force = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Tell how many jobs, pages and tokens a reprocess would take, their cost, and what it reuses.

    By what the jobs took before, and the prices that workers have. Changes nothing.
    """
    request = _request(stage, model, params, filters, since, until, force=force)
    found = RestClient(url).post_json("/v1/reprocess/plan", request, patient=True)
    print_json(found) if as_json else _show_plan(found)


def reprocess(
    stage: Stage = None,
    model: Model = None,
    params: Params = None,
    filters: Filter = None,
    since: Since = None,
    until: Until = None,
    force: Force = False,
    hold: Annotated[
        bool, typer.Option("--hold", help="Leave each job's result what it is, until `promote`.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="A name of the batch, for people.")] = None,
    resume: Annotated[str | None, typer.Option(help="Id of a reprocess that was interrupted.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't show the plan and ask first.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show progress until it has ended.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Run ended jobs again as one batch, in what would be other. `millrace batch cancel ID` stops it.

    Earlier outputs stay. When this is interrupted, --resume ID goes on: no job begins twice.
    """
    client = RestClient(url)
    if resume is None:
        request = _request(stage, model, params, filters, since, until, force=force)
        request["hold"] = hold
        if not yes:
            _show_plan(client.post_json("/v1/reprocess/plan", request, patient=True))
            typer.confirm("Run them again?", abort=True)
        resume = client.post_json("/v1/reprocess", {**request, **({"name": name} if name else {})})["id"]
        if not as_json:
            out.print(resume, markup=False)
    going = client.post(f"/v1/reprocess/{resume}/go-on")
    while going["more"]:
        going = client.post(f"/v1/reprocess/{resume}/go-on")
    if watch:
        watch_batch(client, resume, as_json=as_json)
    elif as_json:
        print_json(going["batch"])
    else:
        _show_begun(going["batch"]["reprocess"])


def _request(
    stage: str | None,
    model: str | None,
    params: str | None,
    filters: list[str] | None,
    since: str | None,
    until: str | None,
    *,
    force: bool,
) -> dict[str, Any]:
    given = read_params(params) if params else {}
    if model is not None:
        if stage is None:
            raise typer.BadParameter("--model is a param of a stage: say which with --stage")
        given = {**given, stage: {**given.get(stage, {}), "model": model}}
    which = {"since": since, "until": until}
    for each in filters or ():
        name, equals, value = each.partition("=")
        if not equals or name not in FILTERS:
            raise typer.BadParameter(
                f"--filter {each}: give one of {', '.join(FILTERS)} with = and its value"
            )
        which[name] = value
    chosen = {key: value for key, value in which.items() if value is not None}
    return {"stage": stage, "params": given, "filter": chosen, "force": force}


def _show_plan(plan: dict[str, Any]) -> None:
    pages = f"{plan['pages']} pages{_unknown(plan['pages_unknown'], 'job')}"
    jobs = f"{plan['jobs']} jobs of {pages} would run again, {plan['unchanged']} would give the same"
    out.print(jobs, highlight=False, markup=False, soft_wrap=True)
    table = Table("stage", "run", "reused", "tokens", "cost", "time that it took")
    for each in plan["stages"]:
        took = str(timedelta(seconds=round(each["seconds"])))
        tokens = f"{each['tokens']}{_unknown(each['tokens_unknown'], 'job')}"
        cost = f"{told(Decimal(each['cost']))}{_unknown(each['cost_unknown'], 'run')}"
        table.add_row(each["stage"], f"at most {each['run']}", str(each["reused"]), tokens, cost, took)
    out.print(table)
    for each in plan["unpriced"]:
        model = "any model" if each["model"] is None else f"model {each['model']}"
        out.print(f"no price is known of {model} of stage {each['stage']}", markup=False, soft_wrap=True)
    _show_refused(plan["refused"], plan["examples"])
    if plan["open"]:
        out.print(f"not ended, left alone: {', '.join(plan['open'])} …", markup=False, soft_wrap=True)


def _show_begun(progress: dict[str, Any]) -> None:
    counts = f"{progress['begun']} run again, {progress['unchanged']} would give the same"
    out.print(counts, highlight=False, markup=False, soft_wrap=True)
    _show_refused(progress["refused"], progress["examples"])


def _show_refused(count: int, examples: list[dict[str, str]]) -> None:
    if count:
        out.print(f"{count} can't run again:", highlight=False, markup=False)
    for each in examples:
        out.print(f"  {each['job']}: {escape(each['why'])}", highlight=False, soft_wrap=True)


def _unknown(count: int, what: str) -> str:
    return f" (unknown of {count} {what}s)" if count else ""
