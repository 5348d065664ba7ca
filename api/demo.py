"""`millrace demo`: the examples through the built-in pipeline, live; `--crash`: through a kill -9 too."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from api.board import Board, board, follow
from api.rest_client import RestClient
from pipeline.errors import MillraceError
from pipeline.tether import tethered

Json = dict[str, Any]

SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".docx", ".txt"})
START_SECONDS, STOP_SECONDS = 90.0, 40.0
_STEP = re.compile(r"(begun|saved) (\S+) job=\S+ task=(\S+) attempt=(\d+)")
"""What a worker logs of every checkpoint."""


@dataclass(slots=True)
class Crash:
    """A worker's death in the middle of a document, and what came after."""

    victim: str
    """Name of the document whose pages are counted before the kill."""
    late: Path
    """Submitted while no worker lives."""
    pages: int = 3
    """Finished pages to wait for."""
    killed: Json | None = None
    job: str = ""


@dataclass(slots=True)
class Run:
    """One demonstration."""

    console: Console
    client: RestClient
    data: Path
    port: int
    log: Path
    started: float = field(default_factory=time.monotonic)


def demo(console: Console, *, data: Path, documents: Path, crash: bool, keep: bool) -> None:
    """Start everything with its data in `data`, submit the documents, show what is found, stop it again.

    Raises:
        MillraceError: there are no documents, something did not start, or a job failed.
    """
    files = _documents(documents)
    data.mkdir(parents=True, exist_ok=True)
    with _running(console, data) as run:
        held = _crash_plan(files) if crash else None
        jobs = _process(run, [path for path in files if held is None or path != held.late], held)
        for job in sorted(jobs.values(), key=lambda job: str(job["id"])):
            _show(run, job)
        if held is not None:
            _show_resume(run, held)
        _farewell(run, keep)
    failed = [job["document"]["name"] for job in jobs.values() if job["state"] != "succeeded"]
    if failed:
        raise MillraceError(f"not all documents succeeded: {', '.join(failed)}; see {run.log}")


def _documents(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise MillraceError(
            f"there are no documents in {folder}: run this in the repository, or give --documents"
        )
    return files


def _crash_plan(files: list[Path]) -> Crash:
    """The largest document is the victim's; the smallest comes in while no worker lives."""
    by_size = sorted(files, key=lambda path: path.stat().st_size)
    return Crash(victim=by_size[-1].name, late=by_size[0])


@contextmanager
def _running(console: Console, data: Path) -> Iterator[Run]:
    port, log = _free_port(), data / "up.log"
    command = [
        sys.executable,
        "-m",
        "api",
        "up",
        "--data",
        str(data),
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    environment = {**os.environ, "MILLRACE_LOG_LEVEL": "DEBUG"}
    with (
        log.open("wb") as stream,
        subprocess.Popen(tethered(command), stderr=stream, env=environment) as process,
    ):
        try:
            run = Run(console, RestClient(f"http://127.0.0.1:{port}"), data, port, log)
            with console.status("starting MongoDB, the API and a worker"):
                _wait_until_ready(run, process)
            console.print(f"up in {time.monotonic() - run.started:.1f} s: http://127.0.0.1:{port}/")
            yield run
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(run: Run, process: subprocess.Popen[bytes]) -> None:
    while time.monotonic() - run.started < START_SECONDS:
        if process.poll() is not None:
            raise MillraceError(
                f"`millrace up` ended with {process.returncode}: {run.log.read_text()[-1500:]}"
            )
        try:
            if run.client.get("/health/ready")["workers"]:
                return
        except MillraceError:
            time.sleep(0.1)
    raise MillraceError(f"nothing was ready after {START_SECONDS:.0f} s; see {run.log}")


def _process(run: Run, files: list[Path], crash: Crash | None) -> dict[str, Json]:
    """Submit the files and show their progress until all have ended; returns the jobs by id."""
    events = run.client.events("/v1/events")
    next(events)  # the stream is open, so nothing that is submitted now can be missed
    with board(run.console) as shown:
        for path in files:
            shown.add(run.client.submit(path, {}))
        follow(shown, _with_crash(run, events, shown, crash))
        return {id_: run.client.get(f"/v1/jobs/{id_}") for id_ in shown.jobs}


def _with_crash(
    run: Run, events: Iterator[tuple[str, Json]], shown: Board, crash: Crash | None
) -> Iterator[tuple[str, Json]]:
    """Pass events on, and kill the worker when enough pages of the victim are saved."""
    first = True
    for event, data in events:
        if first and event == "state" and data.get("state") == "succeeded" and data["job"] in shown.jobs:
            run.console.print(f"first result {time.monotonic() - run.started:.1f} s after the start")
            first = False
        yield event, data
        if crash is not None and crash.killed is None and _far_enough(shown, crash):
            crash.killed = run.client.get("/v1/workers")[-1]
            os.kill(crash.killed["pid"], signal.SIGKILL)
            run.console.print(f"[red]kill -9[/] worker {crash.killed['name']} (pid {crash.killed['pid']})")
            shown.add(run.client.submit(crash.late, {}))
            run.console.print(f"submitted {crash.late.name} while no worker lives")


def _far_enough(shown: Board, crash: Crash) -> bool:
    for job in shown.jobs.values():
        if job["document"]["name"] == crash.victim:
            crash.job = job["id"]
            progress = job["stages"][0].get("progress") if job["stages"] else None
            return bool(progress and (progress.get("done") or 0) >= crash.pages)
    return False


def _show(run: Run, job: Json) -> None:
    if job["state"] != "succeeded":
        error = job["error"] or {}
        run.console.print(
            Panel(
                f"[red]{job['state']}[/] {escape(str(error.get('message', '')))}",
                title=job["document"]["name"],
            )
        )
        return
    text, entities, answer = (
        run.client.get(f"/v1/jobs/{job['id']}/outputs/{stage}") for stage in ("ocr", "ner", "llm")
    )
    table = Table.grid(padding=(0, 2))
    table.add_row("title", escape(answer["title"]))
    table.add_row("type", f"{answer['type']} ({answer['engine']})")
    table.add_row("summary", escape(answer["summary"]))
    for each in answer["fields"][:8]:
        table.add_row(escape(each["name"]), escape(f"{each['value']}  (page {each['page']})"))
    table.add_row("entities", escape(_entities(entities["entities"])))
    opening = " ".join(text["text"].split())[:160]
    table.add_row("text", escape(f"{len(text['pages'])} pages by {text['engine']}: {opening}…"))
    run.console.print(Panel(table, title=job["document"]["name"], title_align="left"))


def _entities(entities: list[Json]) -> str:
    seen: dict[str, list[str]] = {}
    for entity in entities:
        names = seen.setdefault(entity["label"], [])
        told = " ".join(entity["text"].split())
        if told not in names:
            names.append(told)
    return "; ".join(f"{label}: {', '.join(names[:3])}" for label, names in sorted(seen.items()))


def _show_resume(run: Run, crash: Crash) -> None:
    """Say what the new worker resumed, from what the workers logged and the listener role noted."""
    if crash.killed is None:
        raise MillraceError(f"{crash.victim} was finished before the worker could be killed")
    steps = [match.groups() for match in _STEP.finditer(run.log.read_text())]
    ours = [
        (verb, key, int(attempt))
        for verb, key, task, attempt in steps
        if task.startswith(f"{crash.job}:ocr:")
    ]
    kept = {key for verb, key, attempt in ours if verb == "saved" and attempt == 1}
    again = {key for verb, key, attempt in ours if verb == "begun" and attempt > 1}
    in_flight = {key for verb, key, attempt in ours if verb == "begun" and attempt == 1} - kept
    resumed = next(each["resumed"] for each in run.client.get("/v1/listeners") if each["resumed"])
    table = Table("resumed", "", title="after kill -9", title_justify="left")
    table.add_row("killed worker", crash.killed["name"])
    table.add_row("new worker", resumed["worker"])
    table.add_row("resume token's age", f"{resumed['token_age']:.0f} s")
    table.add_row("events replayed", str(resumed["events"]))
    table.add_row("pages kept", f"{len(kept)} of {crash.victim}")
    table.add_row("finished pages redone", str(len(kept & again)))
    table.add_row("pages in flight, begun again", str(len(in_flight & again)))
    run.console.print(table)
    if kept & again:
        raise MillraceError(f"finished pages were done again: {', '.join(sorted(kept & again))}")


def _farewell(run: Run, keep: bool) -> None:
    run.console.print(f"data: {run.data.resolve()}   log: {run.log}")
    if not keep:
        run.console.print(f"the page, again: millrace up --data {run.data}   then http://127.0.0.1:8000/")
        return
    run.console.print(f"the page: http://127.0.0.1:{run.port}/   Ctrl-C ends it")
    try:
        signal.pause()
    except KeyboardInterrupt:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
