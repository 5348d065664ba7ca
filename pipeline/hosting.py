"""What a worker hosts: the queues that it claims from, and where jobs of its pipelines begin."""

from collections.abc import Collection, Sequence

from pipeline.errors import DefinitionError
from pipeline.model import queue_name
from pipeline.stage import Pipeline


def queues_of(pipelines: Sequence[Pipeline], stages: Collection[str] | None) -> list[str]:
    """Return the queues of these stages, of all when none are given.

    Raises:
        DefinitionError: no stage has one of these names.
    """
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


def first_queue(pipeline: Pipeline) -> str:
    """Return the queue in which a pipeline's jobs begin."""
    return queue_name(pipeline.name, pipeline.version, pipeline.stages[0].name)


def beginning(pipelines: Sequence[Pipeline], queues: Collection[str]) -> dict[str, int]:
    """Return the versions of the pipelines whose first stage is claimed from one of these queues."""
    return {each.name: each.version for each in pipelines if first_queue(each) in queues}
