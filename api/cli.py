"""The command line: `millrace --help`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.markup import escape
from rich.table import Table

from api.batch_commands import app as batch_commands
from api.batch_commands import watch_batch
from api.board import board, follow, told
from api.failure_commands import attempts, discard, failures, retry
from api.operating import drain, limit, limits, pause, pauses, resume, services, unlimit, why
from api.options import DEFAULT_URL, AsJson, JobId, Url, out, print_json
from api.process_commands import DEFAULT_DATA, Data, app
from api.refusals import REFUSED, refuse
from api.reprocess_commands import plan, reprocess
from api.rest_client import RestClient
from api.run_commands import diff, promote, runs
from api.schedule_commands import app as schedule_commands
from api.tables import folded, whole
from api.usage_commands import budget, budgets, usage
from pipeline.errors import MillraceError

app.add_typer(batch_commands, name="batch")
app.add_typer(schedule_commands, name="schedule")


@app.command()
def install() -> None:
    """Create collections, validators and indexes in MILLRACE_MONGODB_URI. Safe to run again."""
    from api.maintenance import install as run

    for change in anyio.run(run):
        out.print(change)
    out.print("the database is ready")


@app.command()
def verify(
    data: Data = DEFAULT_DATA,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what is safe, then check.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check every promise over the whole database, also one in use.

    Exit code 0: all hold; 1: one is broken (after the repair, when one was asked for); 2: it could not run.

    --json prints {"findings": [{promise, title, checked, violations, examples, advice}],
    "repairs": [{promise, repaired, done, left, why}]}; repairs is empty without --repair.
    """
    from api.maintenance import verify as run
    from api.verification import findings_table, repairs_table

    try:
        told = anyio.run(partial(run, data, repair=repair))
    except REFUSED as error:
        refuse(error)
        raise typer.Exit(2) from error
    if as_json:
        print_json(told.model_dump())
    else:
        if told.repairs:
            out.print(repairs_table(told.repairs))
        out.print(findings_table(told.findings))
    if any(finding.violations for finding in told.findings):
        raise typer.Exit(1)


@app.command()
def submit(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Documents.")],
    pipeline: Annotated[str, typer.Option(help="Name of a pipeline.")] = "documents",
    params: Annotated[str | None, typer.Option(help='JSON, by stage: {"ocr": {"dpi": 300}}')] = None,
    skip: Annotated[str | None, typer.Option(help="Comma-separated names of stages to leave out.")] = None,
    priority: Annotated[int, typer.Option(min=-10, max=10)] = 0,
    run_at: Annotated[str | None, typer.Option(help="Not before: 2030-01-31T08:00:00Z.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Fail what has not ended by then.")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object of your own.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key, of one document.")] = None,
    batch: Annotated[bool, typer.Option("--batch", help="Make one batch of them all.")] = False,
    into: Annotated[str | None, typer.Option(help="Id of the batch that they belong to.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show progress until every job has ended.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Submit documents; with --batch, as one: what is printed, and watched, is the batch."""
    if batch and into:
        raise typer.BadParameter("give --batch or --into, not both")
    if batch and key:
        raise typer.BadParameter("--key stands for one document, and --batch for many")
    if key and len(files) > 1:
        raise typer.BadParameter("--key stands for one document, and there are more")
    client = RestClient(url)
    given = {"params": params, "run_at": run_at, "deadline": deadline, "metadata": metadata, "batch": into}
    fields = {"pipeline": pipeline, "priority": str(priority)}
    fields |= {name: value for name, value in {**given, "skip": skip}.items() if value}
    if batch:
        _submit_batch(client, files, fields, watch=watch, as_json=as_json)
        return
    jobs = [client.submit(path, fields, key) for path in files]
    if watch:
        jobs = _watch(client, jobs)
    if as_json:
        print_json(jobs)
    elif not watch:
        for job in jobs:
            out.print(f"{job['id']}  {job['document']['name']}", markup=False, soft_wrap=True)
    _exit_by(jobs)


@app.command()
def watch(job: JobId, url: Url = DEFAULT_URL) -> None:
    """Show a job's progress until it has ended."""
    client = RestClient(url)
    _exit_by(_watch(client, [client.get(f"/v1/jobs/{job}")]))


@app.command()
def jobs(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List the newest jobs."""
    page = RestClient(url).get("/v1/jobs", limit=limit, **({"state": state} if state else {}))
    if as_json:
        print_json(page["jobs"])
        return
    found = page["jobs"]
    table = Table(whole("id", [job["id"] for job in found]), "document", "state", folded("stages"))
    for job in found:
        told = " ".join(f"{stage['name']}:{stage['state']}" for stage in job["stages"])
        table.add_row(job["id"], escape(job["document"]["name"]), job["state"], told)
    out.print(table)


@app.command()
def show(
    job: JobId,
    output: Annotated[str | None, typer.Option(help="Print what this stage wrote.")] = None,
    revision: Annotated[int | None, typer.Option(min=1, help="With --output: in this run.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show a job, or what one of its stages wrote."""
    client = RestClient(url)
    if revision is not None and output is None:
        raise MillraceError("--revision needs --output")
    run = {} if revision is None else {"revision": revision}
    found = client.get(f"/v1/jobs/{job}/outputs/{output}", **run) if output else client.get(f"/v1/jobs/{job}")
    if as_json or output:
        print_json(found)
        return
    out.print(f"{found['document']['name']}: {found['state']}", highlight=False, markup=False)
    table = Table("stage", "state", "attempt", "progress", "error")
    for stage in found["stages"]:
        progress = stage["progress"]
        table.add_row(
            stage["name"],
            stage["state"],
            str(stage["attempt"]),
            escape(told(progress)) if progress else "",
            escape(_error(stage["error"])),
        )
    out.print(table)


@app.command()
def versions(
    limit: Annotated[int, typer.Option("--jobs", min=0, max=1000, help="Jobs to name of each.")] = 0,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List the versions of pipelines, what still runs on each, and who can run it."""
    found = RestClient(url).get("/v1/versions", jobs=limit)
    if as_json:
        print_json(found)
        return
    named = whole("jobs", [job for each in found for job in each["jobs"]])
    table = Table("pipeline", "submitted", "ready", "running", "workers", named)
    for each in found:
        counts = (str(each[name]) for name in ("submitted", "ready", "running"))
        told = (", ".join(each["workers"]) or "none", "\n".join(each["jobs"]))
        table.add_row(f"{each['pipeline']}@{each['version']}", *counts, *map(escape, told))
    out.print(table)


@app.command()
def cancel(job: JobId, url: Url = DEFAULT_URL) -> None:
    """Cancel a job that has not ended."""
    out.print(RestClient(url).post(f"/v1/jobs/{job}/cancel")["state"])


for command in (retry, discard, failures, attempts, plan, reprocess, runs, diff, promote):
    app.command()(command)


@app.command()
def demo(
    crash: Annotated[
        bool, typer.Option("--crash", help="Kill the worker in the middle, and resume.")
    ] = False,
    data: Data = DEFAULT_DATA / "demo",
    documents: Annotated[Path, typer.Option(help="Folder of documents to submit.")] = Path("examples"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the page up until Ctrl-C.")] = False,
) -> None:
    """Run the examples through the built-in pipeline and show what was found."""
    from api.demo import demo as run

    run(out, data=data, documents=documents, crash=crash, keep=keep)


def _submit_batch(
    client: RestClient, files: list[Path], fields: dict[str, str], *, watch: bool, as_json: bool
) -> None:
    """Submit files as one batch; when one is refused, the batch is what was taken before."""
    batch = client.post_json("/v1/batches", {"total": len(files)})["id"]
    try:
        for path in files:
            client.submit(path, {**fields, "batch": batch})
    except MillraceError:
        client.post(f"/v1/batches/{batch}/close")
        raise
    if watch:
        watch_batch(client, batch, as_json=as_json)
    elif as_json:
        print_json(client.get(f"/v1/batches/{batch}"))
    else:
        out.print(batch, markup=False)


for verb in (pause, resume, pauses, services, drain, limit, unlimit, limits, why, usage, budget, budgets):
    app.command()(verb)


@app.command(name="train-ner")
def train_ner(
    samples: Annotated[Path, typer.Argument(help="Labelled texts: .jsonl with offsets, or CoNLL.")],
    output: Annotated[Path, typer.Option(help="Folder for the pipeline; made when it is not there.")],
    dev: Annotated[
        Path | None, typer.Option(help="Labelled texts for the scores; default: a fifth is held out.")
    ] = None,
    language: Annotated[str, typer.Option(help="spaCy's code of the language; xx: several.")] = "xx",
    rounds: Annotated[int, typer.Option(min=1, help="At most; ends when nothing gets better.")] = 40,
    seed: Annotated[int, typer.Option(help="The same one gives the same pipeline.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train a small spaCy pipeline for the ner stage on labelled texts, and report its scores.

    Needs `pip install 'millrace[spacy]'`; uses the processor only. Set MILLRACE_NER_SPACY_MODEL to the
    folder, and MILLRACE_NER_ENGINES to ["rules", "spacy"]. The report is in the folder too: report.json.
    """
    from api.training import train

    report = train(out, samples, dev, output, language=language, rounds=rounds, seed=seed, quiet=as_json)
    if as_json:
        print_json(report.model_dump())


def _watch(client: RestClient, jobs: list[Any]) -> list[Any]:
    events = client.events("/v1/events")
    next(events)  # the stream is open: whatever changes after this look at the jobs, it will tell
    with board(out) as shown:
        for job in jobs:
            shown.add(client.get(f"/v1/jobs/{job['id']}"))
        if not shown.ended():
            follow(shown, events)
    return [client.get(f"/v1/jobs/{job['id']}") for job in jobs]


def _exit_by(jobs: list[Any]) -> None:
    if any(job["state"] in ("failed", "cancelled") for job in jobs):
        for job in jobs:
            if job["state"] == "failed":
                name, why = escape(job["document"]["name"]), escape(_error(job["error"]))
                out.print(f"[red]{name}[/] failed: {why}", soft_wrap=True)
        raise typer.Exit(1)


def _error(error: dict[str, Any] | None) -> str:
    if error is None:
        return ""
    place = f"{error['part']}: " if error.get("part") else ""
    return f"{place}{error['message']}"
