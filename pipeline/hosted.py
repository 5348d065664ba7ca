"""What a worker hosts: pipelines, perhaps in several versions, and of them the stages that it claims."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from pipeline.errors import DefinitionError
from pipeline.model import queue_name, subject_of
from pipeline.stage import Pipeline


class Hosted:
    """The pipelines of one worker; `stages` are the names of those that it claims, all when not given.

    Raises:
        DefinitionError: no pipeline, two of one name and version, or no stage with a given name.
    """

    def __init__(self, pipelines: Sequence[Pipeline], stages: Collection[str] | None = None) -> None:
        self._pipelines = {(each.name, each.version): each for each in pipelines}
        if not pipelines or len(self._pipelines) != len(pipelines):
            raise DefinitionError("a worker needs at least one pipeline, and no two of one name and version")
        self.queues = _queues(pipelines, stages)
        self.keyed = frozenset(
            queue_name(each.name, each.version, stage.name)
            for each in pipelines
            for stage in each.stages
            if stage.key is not None
        )
        """The queues of stages whose tasks have a key."""
        self._beginning: dict[str, list[int]] = defaultdict(list)
        for name, version in sorted(self._pipelines):
            first = self._pipelines[name, version].stages[0].name
            if queue_name(name, version, first) in self.queues:
                self._beginning[name].append(version)
        self.first_queues = {
            name: [self._first(name, each) for each in versions] for name, versions in self._beginning.items()
        }
        """The queues of the first stages that are claimed here, by pipeline."""

    def __iter__(self) -> Iterator[Pipeline]:
        """Return all of them."""
        return iter(self._pipelines.values())

    def __getitem__(self, key: tuple[str, int]) -> Pipeline:
        """Return a pipeline by its name and version; KeyError when it isn't hosted here."""
        return self._pipelines[key]

    @property
    def names(self) -> list[str]:
        """The names of the pipelines."""
        return sorted({name for name, _ in self._pipelines})

    @property
    def timed(self) -> bool:
        """True when some pipeline limits the time of its jobs."""
        return any(each.timeout is not None for each in self)

    @property
    def units(self) -> dict[str, frozenset[str]]:
        """The units that the stages cost which are claimed here, by queue; only those that cost any."""
        named = {
            queue_name(each.name, each.version, stage.name): stage.units
            for each in self
            for stage in each.stages
            if stage.units
        }
        return {queue: named[queue] for queue in self.queues if queue in named}

    @property
    def apart(self) -> dict[str, tuple[re.Pattern[str], ...]]:
        """What services are called like that park only their own tasks, by stage; only of such stages."""
        found: dict[str, tuple[re.Pattern[str], ...]] = {}
        for each in self:
            for stage in each.stages:
                if (like := stage.apart) is not None:
                    subject = subject_of(queue_name(each.name, each.version, stage.name))
                    found[subject] = (*found.get(subject, ()), like)
        return found

    @property
    def beginning(self) -> dict[str, list[int]]:
        """The versions of the pipelines whose first stage is claimed here, oldest first."""
        return dict(self._beginning)

    def beginner(self, name: str, version: float | None) -> Pipeline | None:
        """Return the pipeline in which a job begins here: in its own version, or the newest if it has none.

        None when it does not begin here.
        """
        versions = self._beginning.get(name, [])
        if version is None:
            return self._pipelines[name, versions[-1]] if versions else None
        return self._pipelines[name, int(version)] if version in versions else None

    def first_queue(self, name: str, version: float | None) -> str | None:
        """Return the queue in which a job would begin, if that is here."""
        found = self.beginner(name, version)
        return None if found is None else self._first(found.name, found.version)

    def _first(self, name: str, version: int) -> str:
        return queue_name(name, version, self._pipelines[name, version].stages[0].name)


def _queues(pipelines: Sequence[Pipeline], stages: Collection[str] | None) -> list[str]:
    known = {stage.name for pipeline in pipelines for stage in pipeline.stages}
    unknown = set(stages or ()) - known
    if unknown:
        raise DefinitionError(
            f"no stage is named {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}"
        )
    return [
        queue_name(pipeline.name, pipeline.version, stage.name)
        for pipeline in pipelines
        for stage in pipeline.stages
        if stages is None or stage.name in stages
    ]
