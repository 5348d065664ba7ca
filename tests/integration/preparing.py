"""A pipeline whose stage can't be prepared, for worker processes."""

from pathlib import Path

from pipeline import Document, Pipeline, StageContext, stage
from tests.support import Text


@stage(name="heavy")
class Heavy:
    def prepare(self) -> None:
        Path("/nowhere/weights.bin").read_bytes()

    async def run(self, document: Document, context: StageContext) -> Text:
        return Text(text="")


HEAVY = Pipeline("heavy", [Heavy])
