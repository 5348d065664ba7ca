"""What a worker hosts: the queues that it claims from, and the pipelines that begin there."""

from collections.abc import Collection, Sequence

from pipeline.errors import DefinitionError
from pipeline.model import queue_name
from pipeline.stage import Pipeline


def queues_of(pipelines: Sequence[Pipeline], stages: Collection[str] | None) -> list[str]:
    """Return the queues of these pipelines' stages, or of those with the given names.

    Raises:
        DefinitionError: there is no stage of a given name.
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


def beginning(pipelines: Sequence[Pipeline], queues: Collection[str]) -> dict[str, int]:
    """Return the versions of the pipelines whose first stage is claimed here."""
    return {
        each.name: each.version
        for each in pipelines
        if queue_name(each.name, each.version, each.stages[0].name) in queues
    }
