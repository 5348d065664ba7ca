"""A run of chaos: everything is started, faults are brought upon it, it heals, and is looked at."""

import logging
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from random import Random
from typing import Any

import anyio

from pipeline.errors import StoreError
from pipeline.store.changes import FEED
from tests.chaos import findings
from tests.chaos.faults import OF_MEMBERS, OF_PROCESSES, Fault
from tests.chaos.memory import Memory
from tests.chaos.observer import Observer
from tests.chaos.submitter import Submitter
from tests.chaos.town import Town, town

_log = logging.getLogger("millrace.chaos")

DRAINED = 180.0
"""Seconds in which everything has to end once it is left in peace."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how often, how much."""

    minutes: float
    seed: int
    every: tuple[float, float] = (5.0, 40.0)
    """Seconds between two faults."""
    rate: float = 1.2
    """Documents in a second."""
    members: int = 3
    faults: tuple[Fault, ...] = ()
    """In this order, and over again; chosen by the seed when there are none."""


@dataclass(slots=True)
class Report:
    """What was done and found."""

    seed: int
    minutes: float
    deeds: Counter[str] = field(default_factory=Counter)
    """How often each fault was brought about."""
    documents: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """Of attempts, by type."""
    answers: Counter[str] = field(default_factory=Counter)
    """Of the APIs."""
    parts_saved: int = 0
    begun_again_by_zombies: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    drained_in: float = 0.0
    """Seconds from the healing to the end of the last job."""
    violations: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}


async def run(plan: Plan, folder: Path) -> Report:
    """Carry a plan out."""
    report, random = Report(plan.seed, plan.minutes), Random(plan.seed)
    async with town(folder, random, plan.members) as running:
        people = Submitter(running.urls, Random(plan.seed + 1), plan.rate)
        observer, memory = Observer(running.store), Memory([running.workers[0], running.apis[0]])
        async with anyio.create_task_group() as watching:
            await watching.start(observer.run)
            watching.start_soon(memory.run)
            async with anyio.create_task_group() as living:
                living.start_soon(people.run)
                await _bring(plan, running, report)
                await running.settle()
                people.stop()
            await _drain(running, report)
            await observer.caught_up()
            watching.cancel_scope.cancel()
        await running.close()
        await _look(running, people, observer, memory, report)
    return report


async def _bring(plan: Plan, running: Town, report: Report) -> None:
    """Bring about one fault after the other until the time is over."""
    chosen = plan.faults or (*OF_PROCESSES, *(OF_MEMBERS if plan.members > 1 else ()))
    begun, number = time.monotonic(), 0
    with anyio.move_on_after(plan.minutes * 60) as limit:
        while True:
            await anyio.sleep(running.random.uniform(*plan.every))
            fault = chosen[number % len(chosen)] if plan.faults else running.random.choice(chosen)
            number += 1
            with anyio.CancelScope(shield=True):  # never half of one
                told = await fault(running)
            report.deeds[fault.__name__] += told != "nothing"
            _log.info("%6.1f s  %s", time.monotonic() - begun, told)
    assert limit.cancelled_caught


async def _drain(running: Town, report: Report) -> None:
    """Wait, by events, until every job has ended."""
    begun = time.monotonic()
    with anyio.move_on_after(DRAINED):
        while await findings.unended(running):
            try:
                async with running.store.changes.open(FEED) as changes:
                    while await findings.unended(running):
                        await changes.read()
            except StoreError as error:
                _log.info("waiting goes on: %s", error)
    report.drained_in = round(time.monotonic() - begun, 1)
    report.violations += [f"{job} has not ended" for job in await findings.unended(running)]


async def _look(running: Town, people: Submitter, observer: Observer, memory: Memory, report: Report) -> None:
    """Fill the report in."""
    wrong_ends, report.ends = await findings.wrong_ends(running, people)
    charged, report.errors = await findings.charged(running)
    pids = {pid: name for each in running.workers for pid, name in each.pids.items()}
    zombies = {pid: name for pid, name in pids.items() if name in running.deeds.paused}
    again, report.begun_again_by_zombies = observer.again(running.trace, zombies)
    report.documents, report.answers = len(people.papers), people.answers
    report.parts_saved, report.memory = len(observer.saved), memory.table()
    report.violations += await findings.broken_promises(running)
    report.violations += wrong_ends + charged + people.odd + running.deeds.odd + memory.grown()
    report.violations += [f"{part} was begun again after it was saved" for part in again]
