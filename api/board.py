"""Jobs in a terminal: a bar for every stage, live."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

Json = dict[str, Any]

_COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


class Board:
    """What is known of some jobs, merged from events, shown as bars."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[tuple[str, str], TaskID] = {}
        self.jobs: dict[str, Json] = {}

    def add(self, job: Json) -> None:
        """Show a job, or show it afresh."""
        self.jobs[job["id"]] = job
        for stage in job["stages"]:
            self._show(job, stage)

    def apply(self, event: str, data: Json) -> None:
        """Merge one event of the API's streams; of jobs that were not added, none."""
        if event == "job":
            if data["id"] in self.jobs:
                self.add(data)
            return
        job = self.jobs.get(data.get("job", ""))
        if job is None:
            return
        if event == "state":
            job.update({key: value for key, value in data.items() if key not in ("job", "stages")})
        elif event == "stage":
            self._merge(job, data)

    def ended(self) -> bool:
        """Tell whether every job has."""
        return all(job["state"] in ("succeeded", "failed", "cancelled") for job in self.jobs.values())

    def _merge(self, job: Json, data: Json) -> None:
        for stage in job["stages"]:
            if stage["name"] == data["name"]:
                # Of progress, an event may carry only the members that changed.
                progress = {**(stage.get("progress") or {}), **(data.get("progress") or {})}
                stage.update({key: value for key, value in data.items() if key != "job"})
                stage["progress"] = progress or None
                self._show(job, stage)

    def _show(self, job: Json, stage: Json) -> None:
        key = (job["id"], stage["name"])
        if key not in self._bars:
            label = job["document"]["name"] if stage is job["stages"][0] else ""
            self._bars[key] = self._progress.add_task(
                "", total=1, document=label, stage=stage["name"], state=""
            )
        progress = stage.get("progress") or {}
        total = progress.get("total") or 1
        done = progress.get("done") or 0 if progress.get("total") else 0
        state = stage["state"]
        colour = _COLOURS.get(state, "dim")
        parts = escape(f" {told(progress)}") if progress else ""
        attempt = f" (attempt {stage['attempt']})" if stage["attempt"] > 1 else ""
        self._progress.update(
            self._bars[key],
            total=total,
            completed=total if state == "succeeded" else done,
            state=f"[{colour}]{state}[/]{parts}{attempt}",
        )


def told(progress: Json) -> str:
    """Say a stage's progress: `3/12 pages`, or `3 pages` while the total is not known; and its note."""
    of = f"/{progress['total']}" if progress.get("total") is not None else ""
    note = f", {progress['note']}" if progress.get("note") else ""
    return f"{progress.get('done', 0)}{of} {progress.get('unit', 'part')}s{note}"


@contextmanager
def board(console: Console) -> Iterator[Board]:
    """Show a board while the block runs."""
    columns = (
        TextColumn("{task.fields[document]:<14.14}", markup=False),
        TextColumn("{task.fields[stage]:<5}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, refresh_per_second=8) as progress:
        yield Board(progress)


def follow(board: Board, events: Iterable[tuple[str, Json]]) -> None:
    """Apply events until every job on the board has ended."""
    for event, data in events:
        board.apply(event, data)
        if board.ended():
            return
