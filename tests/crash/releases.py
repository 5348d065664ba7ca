"""Two releases of one pipeline: the later one says more, and has a stage more."""

from pydantic import BaseModel

from pipeline import Document, Pipeline, StageContext, stage


class Said(BaseModel):
    release: int


class SaidMore(BaseModel):
    release: int
    by: str


@stage(name="say")
async def say(document: Document, context: StageContext) -> Said:
    await document.read()
    return Said(release=1)


@stage(name="repeat")
async def repeat(said: Said, context: StageContext) -> Said:
    return said


@stage(name="say", version=2)
async def say_more(document: Document, context: StageContext) -> SaidMore:
    await document.read()
    return SaidMore(release=2, by=document.name)


@stage(name="check")
async def check(said: SaidMore, context: StageContext) -> SaidMore:
    return said


@stage(name="repeat", version=2)
async def repeat_more(said: SaidMore, context: StageContext) -> SaidMore:
    return said


FIRST = Pipeline("talk", [say, repeat])
SECOND = Pipeline("talk", [say_more, check, repeat_more], version=2)
