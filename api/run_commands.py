"""The commands about a job's runs: `runs`, `diff`, `promote`."""

from typing import Annotated, Any

import typer
from rich.table import Table

from api.options import DEFAULT_URL, AsJson, JobId, Url, out, print_json
from api.rest_client import RestClient
from pipeline.errors import MillraceError

Before = Annotated[int | None, typer.Argument(help="A revision; by default the last two that succeeded.")]
After = Annotated[int | None, typer.Argument(help="A later one.")]
MaybeRevision = Annotated[int | None, typer.Argument(help="A revision that has succeeded.")]


def runs(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List a job's runs: a revision for each time that it was run again, and whose outputs it has."""
    found = RestClient(url).get(f"/v1/jobs/{job}/runs")
    if as_json:
        print_json(found)
        return
    table = Table("revision", "state", "began", "outputs of", "")
    for each in found:
        stages = ", ".join(f"{stage} {revision}" for stage, revision in each["stages"].items())
        result = "the result" if each["result"] else ""
        table.add_row(str(each["revision"]), each["state"], each["began_at"], stages, result)
    out.print(table)


def diff(
    job: JobId, before: Before = None, after: After = None, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Show field by field what is other between two runs of a job."""
    named = {name: value for name, value in (("from", before), ("to", after)) if value is not None}
    found = RestClient(url).get(f"/v1/jobs/{job}/diff", **named)
    if as_json:
        print_json(found)
        return
    _say(f"revision {found['before']} → {found['after']}")
    for stage in found["stages"]:
        _say(f"{stage['stage']}: {'the same' if stage['same'] else 'other'}")
        for each in stage["differences"]:
            _show(each)
        if stage["more"]:
            _say(f"  and {stage['more']} more")


def promote(
    job: JobId,
    revision: MaybeRevision = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="The newest that has succeeded, as before.")
    ] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Make a run the job's result, whatever runs later."""
    if (revision is None) != latest:
        raise MillraceError("say which revision, or --latest")
    chosen = {} if revision is None else {"revision": str(revision)}
    found = RestClient(url).post(f"/v1/jobs/{job}/promote", **chosen)
    if as_json:
        print_json(found)
    else:
        _say(f"the result of {job} is {'its newest run' if latest else f'revision {revision}'}")


def _show(each: dict[str, Any]) -> None:
    path = each["path"] or "/"
    if each["lines"] is not None:
        _say(f"  ~ {path}")
        for line in each["lines"]:
            _say(f"      {line}")
    elif each["kind"] == "changed":
        _say(f"  ~ {path}: {each['before']!r} → {each['after']!r}")
    else:
        sign, value = ("+", each["after"]) if each["kind"] == "added" else ("-", each["before"])
        _say(f"  {sign} {path}: {value!r}")


def _say(text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)
