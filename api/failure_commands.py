"""The commands about failures: `failures`, `attempts`, `retry`, `discard`."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from api.options import DEFAULT_URL, AsJson, JobId, Url, out, print_json, read_params
from api.rest_client import RestClient
from api.tables import folded, whole
from pipeline.errors import MillraceError

Tenant = Annotated[str | None, typer.Option(help="Only of this tenant.")]
OfPipeline = Annotated[str | None, typer.Option("--pipeline", help="Only of this pipeline.")]
Stage = Annotated[str | None, typer.Option(help="Only of this stage.")]
Reason = Annotated[str | None, typer.Option(help="Only those of this error type: TemporaryError.")]
Since = Annotated[str | None, typer.Option(help="Failed then or later: 2030-01-31T08:00:00Z.")]
Until = Annotated[str | None, typer.Option(help="Failed then or before.")]
All = Annotated[bool, typer.Option("--all", help="All failures.")]
MaybeJob = Annotated[str | None, typer.Argument(help="A job's id; without it say which failures.")]


def failures(
    tenant: Tenant = None,
    pipeline: OfPipeline = None,
    stage: Stage = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=0, max=200, help="Failures to list.")] = 20,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Count what has failed by its reason, and list the newest. Discarded failures are left out."""
    which = _given(tenant=tenant, pipeline=pipeline, stage=stage, reason=reason, since=since, until=until)
    page = RestClient(url).get("/v1/failures", limit=limit, **which)
    if as_json:
        print_json(page)
        return
    counts = Table("count", "tenant", "pipeline", "stage", "reason", "last")
    for each in page["counts"]:
        told = (each[name] or "" for name in ("tenant", "pipeline", "stage", "reason", "last"))
        counts.add_row(str(each["count"]), *map(escape, told))
    ids = whole("job", [each["job"] for each in page["failures"]])
    newest = Table(ids, "document", "stage", "attempts", folded("why"))
    for each in page["failures"]:
        why = escape(f"{each['reason']}: {each['message']}")
        attempts = str(len(each["attempts"]))
        newest.add_row(each["job"], escape(each["document"]), each["stage"] or "", attempts, why)
    out.print(counts)
    if limit:
        out.print(newest)


def attempts(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show the failed attempts of a job's stages, with their traces; the newest 20 of each stage."""
    found = RestClient(url).get(f"/v1/jobs/{job}/attempts")
    if as_json:
        print_json(found)
        return
    for each in found:
        part = f" in {each['part']}" if each["part"] else ""
        head = f"{each['at']}  {each['stage']}, attempt {each['attempt']}, on {each['worker']}"
        out.print(head, markup=False, highlight=False, soft_wrap=True)
        told = f"{each['type']}{part}: {each['message']}\n{each['trace'] or ''}"
        out.print(told, markup=False, highlight=False, soft_wrap=True)


def retry(
    job: MaybeJob = None,
    from_stage: Annotated[
        str | None, typer.Option("--from", help="Run an ended job again from this stage on.")
    ] = None,
    params: Annotated[
        str | None, typer.Option(help='With --from, JSON over the job\'s own: {"ocr": {"dpi": 300}}')
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --from: reuse no output of the stages after it.")
    ] = False,
    tenant: Tenant = None,
    pipeline: OfPipeline = None,
    stage: Stage = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Try a failed job's failed stage again, its finished parts kept; or run an ended job from a stage on.

    Without a job: all failures that the options name.
    """
    which = _given(tenant=tenant, pipeline=pipeline, stage=stage, reason=reason, since=since, until=until)
    if from_stage and job is None:
        raise MillraceError("--from needs a job")
    if (params or force) and not from_stage:
        raise MillraceError("--params and --force need --from")
    if from_stage:
        body = {"params": read_params(params)} if params else {}
        view = RestClient(url).post_json(
            f"/v1/jobs/{job}/retry", body, stage=from_stage, force=str(force).lower()
        )
        print_json(view) if as_json else out.print(view["state"])
        return
    _act(RestClient(url), "retry", job, which, everything=everything, as_json=as_json)


def discard(
    job: MaybeJob = None,
    tenant: Tenant = None,
    pipeline: OfPipeline = None,
    stage: Stage = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Give up a failed job, or all failures that the options name: they stay failed, and leave the list."""
    which = _given(tenant=tenant, pipeline=pipeline, stage=stage, reason=reason, since=since, until=until)
    _act(RestClient(url), "discard", job, which, everything=everything, as_json=as_json)


def _given(**options: str | None) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}


def _act(
    client: RestClient,
    verb: str,
    job: str | None,
    which: dict[str, str],
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """Do a verb to one job, or to failures, some at a time until there are no more."""
    if (job is not None) + bool(which) + everything != 1:
        raise MillraceError(
            f"say what to {verb}: a job; or failures, by --reason, --stage and so on; or --all"
        )
    if job is not None:
        view = client.post(f"/v1/jobs/{job}/{verb}")
        told = "discarded" if view["discarded_at"] else view["state"]
        print_json(view) if as_json else out.print(told)
        return
    handled = 0
    while True:
        answer: Any = client.post(f"/v1/failures/{verb}", **which)
        handled += answer["handled"]
        which["until"] = answer["until"]  # those that fail again meanwhile are left alone
        if not (answer["handled"] and answer["left"]):
            break
    if as_json:
        print_json({**answer, "handled": handled})
    else:
        out.print(f"{handled} handled, {answer['left']} left")
