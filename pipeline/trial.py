"""Try one stage on one file, without MongoDB: `output = await run_stage(ocr, Path("scan.pdf"))`.

In a script, call it below `if __name__ == "__main__":`, as child processes import the main module.
"""

import hashlib
import json
import mimetypes
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from pydantic import BaseModel

from pipeline.context import StageContext
from pipeline.document import Document
from pipeline.errors import BudgetExceeded
from pipeline.instances import Instances
from pipeline.processes import Processes
from pipeline.progress import Progress
from pipeline.services import Services
from pipeline.stage import Stage
from pipeline.threads import Threads
from pipeline.usage import Budget, Spent, sum_of


class MemoryServices:
    """An attempt's services for a trial: checkpoints and progress stay in memory, to be looked at."""

    def __init__(self, path: Path, outputs: Mapping[str, Any]) -> None:
        self.path = path
        self.outputs = outputs
        self.saved: dict[str, Any] = {}
        self.noted: dict[str, Any] = {}
        """Of effects, see `StageContext.once`."""
        self.reported: list[Progress] = []
        self.spent: list[Spent] = []
        self.asked: dict[int, Spent] = {}
        """Requests that are under way, and what they are likely to take."""
        self.given_up: list[Spent] = []
        """What those were likely to take of which nobody knows how they ended."""
        self._requests = count()
        self.remembered: dict[str, Any] = {}
        self._making: dict[str, anyio.Event] = {}
        self.services = Services()
        """What is known of outside services."""
        self.used: Counter[str] = Counter()
        """By unit, see `StageContext.used`."""
        self.earlier: Mapping[str, Any] | None = None
        """What this stage wrote when it ran before, if it is to know that."""

    async def document_path(self) -> Path:
        """Return the file itself."""
        return self.path

    async def checkpoints(self) -> Mapping[str, Any]:
        """Return what was saved in this trial."""
        return dict(self.saved)

    async def save(self, key: str, value: Any, progress: Progress | None) -> None:
        """Keep the part."""
        self.saved[key] = value
        if progress is not None:
            self.reported.append(progress)

    async def effects(self) -> Mapping[str, Any]:
        """Return what was noted in this trial."""
        return dict(self.noted)

    async def note(self, key: str, value: Any) -> None:
        """Keep the note."""
        self.noted[key] = value

    async def trusted(self) -> None:
        """Nobody else can hold a trial's task."""

    async def recall(self, key: Mapping[str, Any]) -> tuple[Any] | None:
        """Return what was remembered in this trial, also what another part of it makes meanwhile."""
        text = json.dumps(key, sort_keys=True)
        while text not in self.remembered and text in self._making:
            await self._making[text].wait()
        if text in self.remembered:
            return (self.remembered[text],)
        self._making[text] = anyio.Event()
        return None

    async def keep(self, key: Mapping[str, Any], value: Any, lifetime: timedelta) -> None:
        """Remember, for as long as these services live."""
        self.remembered[json.dumps(key, sort_keys=True)] = value
        await self.give_up_making(key)

    async def give_up_making(self, key: Mapping[str, Any]) -> None:
        """Let go on who waits for it."""
        if making := self._making.pop(json.dumps(key, sort_keys=True), None):
            making.set()

    async def may_spend(self, own: Budget | None, *, unpriced: str | None) -> bool:
        """Check the stage's own budget; there is no other in a trial."""
        over = own and own.over(sum_of([*self.spent, *self.given_up]))
        if over:
            raise BudgetExceeded(f"the job's budget is used up: {over}")
        return bool(own)

    async def ask(self, likely: Spent) -> Any:
        """Keep the note."""
        request = next(self._requests)
        self.asked[request] = likely
        return request

    async def spend(self, spent: Spent, request: Any = None) -> None:
        """Keep the record."""
        self.asked.pop(request, None)
        self.spent.append(spent)

    async def give_up(self, request: Any, *, free: bool) -> None:
        """Drop the note, or count it."""
        likely = self.asked.pop(request)
        if not free:
            self.given_up.append(likely)

    def use(self, unit: str, amount: int) -> None:
        """Count it."""
        self.used[unit] += amount

    def report(self, progress: Progress) -> None:
        """Keep the progress."""
        self.reported.append(progress)

    def call(self, service: str) -> None:
        """Refuse a call while the service's breaker is open."""
        self.services.call("trial", "stage:trial", service)

    def called(self, service: str, error: Exception | None) -> None:
        """Note how a call has ended."""
        self.services.called("trial", "stage:trial", service, error)

    async def output(self, stage: str) -> Mapping[str, Any]:
        """Return the body given for that stage."""
        body: Mapping[str, Any] = self.outputs[stage]
        return body

    async def previous(self) -> Mapping[str, Any] | None:
        """Return what was given as this stage's own earlier output."""
        return self.earlier


async def run_stage(
    stage: Stage,
    file: Path,
    *,
    earlier: Sequence[BaseModel] = (),
    params: BaseModel | None = None,
    services: MemoryServices | None = None,
    processes: int | None = None,
) -> BaseModel:
    """Run one stage on a local file and return its output; its errors are raised as they are.

    A stage that is a class is prepared before, and closed after it.

    Args:
        stage: The stage.
        file: The document.
        earlier: Outputs of the stages before it, in order; the last one is the stage's input.
        params: The stage's params; its defaults when not given.
        services: Give one to look at checkpoints and progress afterwards, or to resume from them.
        processes: Child processes for `run_process`; the number of cores when not given.
    """
    names = {type(output): f"earlier-{number}" for number, output in enumerate(earlier)}
    bodies = {names[type(output)]: output.model_dump(mode="json") for output in earlier}
    services = services or MemoryServices(file, bodies)
    services.outputs = bodies
    content = await to_thread.run_sync(file.read_bytes)
    document = Document(
        name=file.name,
        media_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        services=services,
    )
    async with Processes(processes or os.cpu_count() or 1) as children, Instances() as instances:
        await instances.prepare([stage])
        context = StageContext(
            job="trial",
            task=f"trial:{stage.name}:1",
            stage=stage.name,
            attempt=1,
            max_attempts=1,
            document=document,
            services=services,
            earlier=names,
            processes=children,
            units=stage.units,
        )
        value = document if stage.input is Document else earlier[-1]
        return await stage.call(value, context, params, threads=Threads(), before=instances.of(stage))
