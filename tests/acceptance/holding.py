"""A pipeline that waits for its test: the stage calls it, and ends when it is answered."""

import anyio
from pydantic import BaseModel

from pipeline import Document, Pipeline, StageContext, stage
from tests.support import Text


class Hold(BaseModel):
    port: int


@stage(name="hold")
async def hold(document: Document, context: StageContext, params: Hold) -> Text:
    async with await anyio.connect_tcp("127.0.0.1", params.port) as stream:
        return Text(text=(await stream.receive()).decode())


HOLDING = Pipeline("holding", [hold])
