"""What running ended jobs again would take: jobs, pages, tokens and their cost, by what they took before."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from pipeline.model import task_id
from pipeline.rerun import Asked, Past, merged, newest_outputs
from pipeline.store.reprocesses import EXAMPLES
from pipeline.tariff import Price, Tariff


class Refused(BaseModel):
    """A job that can't run again so."""

    job: str
    why: str


class StagePlan(BaseModel):
    """What a stage would have to do."""

    stage: str
    run: int = 0
    """Times that it would run, at most: it doesn't where what comes before it gives the same as before."""
    reused: int = 0
    """Outputs that stay as they are."""
    tokens: int = 0
    """That those runs took when they ran last, by the `usage` of their outputs."""
    tokens_unknown: int = 0
    """Runs of which that is not known: there was none, or its endpoint counted nothing."""
    cost: Decimal = Decimal(0)
    """Of those tokens, by the prices of the models that would be asked now, as workers registered them."""
    cost_unknown: int = 0
    """Runs of which that is not known: their tokens are not, or the model has no price."""
    seconds: float = 0
    """That they took then."""


class Unpriced(BaseModel):
    """A model that would be asked, and has no price."""

    stage: str
    model: str | None
    """None: no worker has told which it is."""


class Plan(BaseModel):
    """What a reprocess would take; an estimate by what the jobs took before."""

    jobs: int = 0
    """That would run again."""
    unchanged: int = 0
    """That would give the same, and stay as they are."""
    refused: int = 0
    examples: list[Refused] = []
    """Some of those that can't run again, and why."""
    open: list[str] = []
    """Some that have not ended, and so are left alone."""
    pages: int = 0
    """Of the documents of the jobs that would run."""
    pages_unknown: int = 0
    """Jobs of which no output says how many pages there are."""
    tokens: int = 0
    tokens_unknown: int = 0
    cost: Decimal = Decimal(0)
    cost_unknown: int = 0
    unpriced: list[Unpriced] = []
    """Some of the models without a price."""
    stages: list[StagePlan] = []


class Planning:
    """Adds up what jobs would take."""

    def __init__(self, asked: Asked) -> None:
        self.plan = Plan()
        self._asked = asked
        self._stages: dict[str, StagePlan] = {}
        self._without: dict[str, int] = {}
        self._unpriced: set[tuple[str, str | None]] = set()
        self._counting: set[str] = set()
        """Stages that count tokens; of `_without`, those are unknown."""

    def add(self, past: Past, decision: Mapping[str, Any] | str | None, measures: Mapping[str, Any]) -> None:
        """Add a job and what was decided of it; `measures` are of its newest outputs, by id."""
        if decision is None:
            self.plan.unchanged += 1
        elif isinstance(decision, str):
            self.plan.refused += 1
            if len(self.plan.examples) < EXAMPLES:
                self.plan.examples.append(Refused(job=past.job["_id"], why=decision))
        else:
            self.plan.jobs += 1
            self._add_pages(past, measures)
            start = past.names.index(decision["stage"])
            for position, name in enumerate(past.names):
                self._add_stage(past, name, measures, runs=position >= start)

    def done(self) -> Plan:
        """Return the sums."""
        for stage in self._stages.values():
            if stage.stage in self._counting:
                stage.tokens_unknown += self._without.get(stage.stage, 0)
                stage.cost_unknown += self._without.get(stage.stage, 0)
        self.plan.stages = list(self._stages.values())
        self.plan.tokens = sum(each.tokens for each in self.plan.stages)
        self.plan.tokens_unknown = sum(each.tokens_unknown for each in self.plan.stages)
        self.plan.cost = sum((each.cost for each in self.plan.stages), Decimal(0))
        self.plan.cost_unknown = sum(each.cost_unknown for each in self.plan.stages)
        named = sorted(self._unpriced, key=lambda each: (each[0], each[1] or ""))[:EXAMPLES]
        self.plan.unpriced = [Unpriced(stage=stage, model=model) for stage, model in named]
        return self.plan

    def _add_pages(self, past: Past, measures: Mapping[str, Any]) -> None:
        own = [measures[each]["pages"] for each in newest_outputs(past.tasks) if each in measures]
        known = [each for each in own if each is not None]
        if known:
            self.plan.pages += max(known)
        else:
            self.plan.pages_unknown += 1

    def _add_stage(self, past: Past, name: str, measures: Mapping[str, Any], *, runs: bool) -> None:
        stage = self._stages.setdefault(name, StagePlan(stage=name))
        if not runs:
            stage.reused += 1
            return
        stage.run += 1
        task = past.newest.get(name)
        if task and task.get("started_at") and task.get("finished_at"):
            stage.seconds += (task["finished_at"] - task["started_at"]) / timedelta(seconds=1)
        output = measures.get(task_id(past.job["_id"], name, task["revision"])) if task else None
        if output is None or not output["whole"]:
            self._without[name] = self._without.get(name, 0) + 1
        elif "tokens" in output:
            self._counting.add(name)
            stage.tokens += output["tokens"] or 0
            stage.tokens_unknown += not output["tokens"]
            price, told = self._price(past, name), (output.get("input"), output.get("output"))
            if price is None or not output["tokens"] or None in told:
                stage.cost_unknown += 1
            else:
                stage.cost += price.of(*told)

    def _price(self, past: Past, name: str) -> Price | None:
        """Return what the model costs that a job's stage would ask now; None where nobody has said it."""
        registered = past.registered_stage(name).get("tariff")
        tariff = None if registered is None else Tariff.model_validate_json(registered)
        params = merged(past.params, self._asked.params).get(name, {})
        model = None if tariff is None else tariff.model_of(params)
        price = None if tariff is None else tariff.prices.get(model or "")
        if price is None:
            self._unpriced.add((name, model))
        return price
