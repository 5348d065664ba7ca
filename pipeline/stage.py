"""What a stage's author writes: `@stage` on a function or a class, and a `Pipeline` of stages.

A stage is a function of its input and a `StageContext`, optionally of its params::

    @stage(name="count", version=1)
    async def count(document: Document, context: StageContext) -> WordCount: ...

One that needs something for as long as the process lives, such as a model, is a class::

    @stage(name="embed", version=1)
    class Embed:
        def prepare(self) -> None:
            self.model = load()

        def run(self, text: Text, context: StageContext) -> Vectors: ...

        def close(self) -> None: ...

The first stage of a pipeline takes the `Document`; every later one takes the output of the stage
before it. Outputs and params are pydantic models. A pipeline whose types don't chain is refused
where it is defined.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from pipeline.context import StageContext
from pipeline.cost import Cost
from pipeline.document import Document
from pipeline.errors import DefinitionError, Unavailable
from pipeline.pattern import check_places, filled, likeness
from pipeline.recipe import LONGEST_ENGINE, Recipe, params_hash
from pipeline.signature import StageFunction, engine_of, method_of, parameters_of, signature_of
from pipeline.tariff import Tariff
from pipeline.threads import Threads
from pipeline.vault import secret_fields

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


class NoParams(BaseModel, extra="forbid"):
    """The params of a stage that takes none."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how long after a failure, a task is tried again.

    The n-th retry waits `first * factor ** (n - 1)`, at most `longest`, of which a random half is
    taken off, so that many tasks that failed together do not come back together.
    """

    max_attempts: int = 3
    """Attempts in all, the first one and those that died with their worker included; at least 1."""
    first: timedelta = timedelta(seconds=2)
    factor: float = 2.0
    longest: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of work, as `@stage` made it. Immutable."""

    name: str
    version: int
    function: StageFunction
    input: type[BaseModel] | type[Document]
    output: type[BaseModel]
    params: type[BaseModel] = NoParams
    takes_params: bool = False
    timeout: timedelta = timedelta(hours=1)
    """Wall-clock limit of one attempt; reaching it counts as a temporary error."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    key: str | None = None
    """What its tasks are limited by beside stage and tenant, such as ``openai/{tenant}``."""
    service: str | None = None
    """The outside service that its tasks call, such as ``llm/{tenant}`` where that isn't the same for all."""
    costs: tuple[Cost, ...] = ()
    """What an attempt takes of rates, at most one of each unit."""

    made_by: type[Any] | None = None
    """The class of which `function` is the method `run`; None for a function."""

    engine: Callable[[Mapping[str, Any]], str] | None = None
    """Tells, by the params given for it, what its outputs depend on beside input, version and params."""

    tariff: Callable[[], Tariff | None] | None = None
    """Tells what the models cost that it asks."""

    is_async: bool = field(init=False)
    """True for a coroutine function; a plain one runs in a thread."""

    units: frozenset[str] = field(init=False)
    """The units in which its attempts cost something."""

    def __post_init__(self) -> None:
        """Find out once what each attempt asks."""
        object.__setattr__(self, "is_async", inspect.iscoroutinefunction(self.function))
        object.__setattr__(self, "units", frozenset(each.unit for each in self.costs))

    def recipe(self, params: Mapping[str, Any]) -> Recipe:
        """Return by what an output would be made now, with these params of the stage."""
        engine = None if self.engine is None else self.engine(params)[:LONGEST_ENGINE]
        return Recipe(self.version, params_hash(params), engine)

    def key_of(self, tenant: str, params: Mapping[str, Any]) -> str | None:
        """Return the key of a task of this tenant with these params of the stage, cut at 100 characters."""
        return None if self.key is None else filled(self.key, tenant, params)

    def service_of(self, tenant: str, params: Mapping[str, Any]) -> str | None:
        """Return the service that a task of this tenant calls, with these params; None: the same as all."""
        return None if self.service is None or self.apart is None else filled(self.service, tenant, params)

    @property
    def apart(self) -> re.Pattern[str] | None:
        """What the services are called like of which each parks only its own tasks; None: there are none."""
        return likeness(self.service)

    @property
    def secrets(self) -> frozenset[str]:
        """The names of its params that are secret."""
        return secret_fields(self.params)

    async def call(
        self,
        value: Document | BaseModel,
        context: StageContext,
        params: BaseModel | None = None,
        *,
        threads: Threads,
        before: Sequence[Any] = (),
    ) -> BaseModel:
        """Call the function, a plain one in a thread; whatever it raises is raised.

        `before` goes before its other arguments: the object of a stage that is a class.

        Raises:
            TypeError: it returned something else than it promises.
        """
        arguments: list[Any] = [*before, value, context]
        if self.takes_params:
            arguments.append(params or self.params())
        function: Any = self.function
        try:
            if self.is_async:
                output = await function(*arguments)
            else:
                output = await threads.run(context.task, lambda: function(*arguments))
        finally:
            context.end()
        if not isinstance(output, self.output):
            raise TypeError(
                f"stage {self.name!r} returned {type(output).__name__}, not {self.output.__name__}"
            )
        return output


def stage(
    *,
    name: str,
    version: int = 1,
    timeout: timedelta = timedelta(hours=1),
    retry: RetryPolicy | None = None,
    key: str | None = None,
    service: str | None = None,
    cost: Cost | Sequence[Cost] = (),
    engine: Callable[[], str] | Callable[[Mapping[str, Any]], str] | None = None,
    tariff: Callable[[], Tariff | None] | None = None,
) -> Callable[[StageFunction | type[Any]], Stage]:
    """Make a `Stage` of a function `(input, context)` or `(input, context, params)`, or of a class.

    A class has such a method `run`. A worker makes one object of it, which all of its attempts share, also
    at the same time; it calls `prepare()` before it claims anything, if there is such a method, and
    `close()` at its end. Both may be coroutine functions; plain ones run in a thread. When `prepare`
    raises, the worker does not start: no document is charged for a model that can't be loaded.

    `key` is what operators can limit over all workers: a name such as ``openai``, with ``{tenant}`` or
    ``{field}`` of the stage's params in it if each of these is limited for itself; no secret one, as keys are
    shown.

    `service` is the name that the stage gives to `StageContext.service` where its tasks call different ones,
    such as ``llm/{tenant}`` or ``llm/{endpoint}``: while one is away only the tasks that call it are parked.
    Without it, all tasks of a stage that has met a service which is away wait for that.

    `cost` is what operators can limit by rate, such as ``Cost("tokens", reserve=2000)``: taken as an attempt
    begins, and settled at its end with what it has told by `StageContext.used`.

    Raise `version` when the function's output changes: checkpoints and outputs of the old version are then
    not reused. `engine` is called before each attempt and tells, in at most 200 characters, what else its
    outputs depend on: a model, settings, the version of a library; one that needs an argument gets the
    params that the job gives the stage, as a mapping. When a job is run again, a stage whose
    input, version, params and engine are what they were takes its earlier output over.

    `tariff` is called when a worker starts, and tells by which param a job names its model, and what models
    cost: `millrace plan` then says what running the stage again would, if its output has `usage` with
    `prompt_tokens`, `completion_tokens` and `total_tokens`.

    Raises:
        DefinitionError: a name, a signature or a class that cannot work; the message says which and why.
    """
    if not NAME.fullmatch(name):
        raise DefinitionError(f"stage name {name!r}: use lower-case letters, digits and dashes, at most 40")
    if service is not None:
        Unavailable.check(service)

    costs = (cost,) if isinstance(cost, Cost) else tuple(cost)
    if len({each.unit for each in costs}) < len(costs):
        raise DefinitionError(f"stage {name!r} has two costs of one unit")

    def define(defined: StageFunction | type[Any]) -> Stage:
        made_by = defined if isinstance(defined, type) else None
        function = defined if made_by is None else method_of(name, made_by)
        taken, output, params = signature_of(
            name, function, list(parameters_of(function))[made_by is not None :]
        )
        for what, pattern in (("key", key), ("service", service)):
            check_places(
                name, what, pattern, (params or NoParams).model_fields, secret_fields(params or NoParams)
            )
        return Stage(
            name=name,
            version=version,
            function=function,
            input=taken,
            output=output,
            params=params or NoParams,
            takes_params=params is not None,
            timeout=timeout,
            retry=retry or RetryPolicy(),
            key=key,
            service=service,
            costs=costs,
            made_by=made_by,
            engine=engine_of(engine),
            tariff=tariff,
        )

    return define


class Pipeline:
    """Ordered stages under a name and a version. Immutable once made.

    Args:
        name: Lower-case letters, digits and dashes, at most 40.
        stages: In the order in which they run.
        version: Raise it when the stages, or what passes between them, change.
        timeout: How long a job may take from its admission to its end; None: as long as it takes. A
            job that came with an earlier deadline keeps that.

    Raises:
        DefinitionError: no stages, two of one name, or types that don't chain (both are named).
    """

    def __init__(
        self, name: str, stages: Sequence[Stage], *, version: int = 1, timeout: timedelta | None = None
    ) -> None:
        if not NAME.fullmatch(name):
            raise DefinitionError(
                f"pipeline name {name!r}: use lower-case letters, digits and dashes, at most 40"
            )
        if not stages:
            raise DefinitionError(f"pipeline {name!r} has no stages")
        if timeout is not None and timeout <= timedelta(0):
            raise DefinitionError(f"pipeline {name!r}: a timeout is a positive duration, or None")
        self.name = name
        self.version = version
        self.timeout = timeout
        self.stages = tuple(stages)
        self.names = tuple(each.name for each in self.stages)
        """Of all stages, also of those that a job skips, see `without`."""
        self.skipped: frozenset[str] = frozenset()
        self._by_name = {each.name: each for each in self.stages}
        self._position = {each.name: position for position, each in enumerate(self.stages)}
        if len(self._by_name) != len(self.stages):
            raise DefinitionError(f"pipeline {name!r} has two stages of one name")
        self._narrowed: dict[frozenset[str], Pipeline] = {}
        self._check_chain()

    def without(self, names: Iterable[str]) -> "Pipeline":
        """Return this pipeline for a job that skips some of its stages: their neighbours must chain.

        Raises:
            DefinitionError: there is no such stage, none would be left, or types don't chain without them.
        """
        skipped = frozenset(names)
        if not skipped:
            return self
        if skipped not in self._narrowed:
            self._narrowed[skipped] = self._narrow(skipped)
        return self._narrowed[skipped]

    def _narrow(self, skipped: frozenset[str]) -> "Pipeline":
        if unknown := skipped - set(self.names):
            raise DefinitionError(
                f"pipeline {self.name!r} has no stage {', '.join(sorted(unknown))} to skip; "
                f"it has: {', '.join(self.names)}"
            )
        left = [each for each in self.stages if each.name not in skipped]
        if not left:
            raise DefinitionError(f"a job can't skip every stage of pipeline {self.name!r}")
        try:
            narrowed = Pipeline(self.name, left, version=self.version, timeout=self.timeout)
        except DefinitionError as error:
            raise DefinitionError(f"a job can't skip {', '.join(sorted(skipped))}: {error}") from error
        narrowed.names, narrowed.skipped = self.names, skipped
        return narrowed

    def _check_chain(self) -> None:
        first = self.stages[0]
        if first.input is not Document:
            raise DefinitionError(f"stage {first.name!r} comes first, so it must take a Document")
        for before, after in zip(self.stages, self.stages[1:], strict=False):
            if after.input is not Document and not issubclass(before.output, after.input):
                raise DefinitionError(
                    f"stage {after.name!r} takes {after.input.__name__}, "
                    f"but {before.name!r} before it gives {before.output.__name__}"
                )

    def __getitem__(self, name: str) -> Stage:
        """Return the stage of that name; KeyError when there is none."""
        return self._by_name[name]

    def after(self, name: str) -> Stage | None:
        """Return the stage that follows `name`, None after the last."""
        position = self._position[name] + 1
        return self.stages[position] if position < len(self.stages) else None

    def before(self, name: str) -> tuple[Stage, ...]:
        """Return the stages that run before `name`, in order."""
        return self.stages[: self._position[name]]

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r}, {[each.name for each in self.stages]}, version={self.version})"
