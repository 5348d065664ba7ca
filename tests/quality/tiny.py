"""A part that is measured at once; its second score misses its floor."""

from collections.abc import AsyncIterator

from quality.score import Floor, Score


async def measure() -> AsyncIterator[Score]:
    floor = Floor("f1", 0.9, "at least")
    yield Score("letters", "rules", {"precision": 1.0, "f1": 0.95}, floor)
    yield Score("minutes [2]", "rules", {"precision": 0.5, "f1": 0.625}, floor, "of [ORG] few")
    yield Score("notes", "spacy", {"precision": 0.5, "f1": 0.5})
