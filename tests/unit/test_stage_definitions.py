"""A stage or a pipeline that cannot work is refused where it is defined, with the reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline import Document, Pipeline, Stage, StageContext, run_stage, stage
from pipeline.errors import DefinitionError


class Text(BaseModel):
    text: str


class Marked(Text):
    marks: int = 0


class Count(BaseModel):
    words: int


class Params(BaseModel):
    least: int = 1


@stage(name="read")
async def read(document: Document, context: StageContext) -> Text:
    return Text(text=(await document.read()).decode())


@stage(name="mark", version=3)
def mark(text: Text, context: StageContext) -> Marked:
    return Marked(text=text.text, marks=1)


@stage(name="count")
async def count(text: Text, context: StageContext, params: Params) -> Count:
    return Count(words=len([word for word in text.text.split() if len(word) >= params.least]))


def test_a_stage_knows_its_types() -> None:
    assert (read.input, read.output, read.takes_params, read.is_async) == (Document, Text, False, True)
    assert (mark.version, mark.is_async) == (3, False)
    assert (count.input, count.output, count.params) == (Text, Count, Params)


@pytest.mark.parametrize("name", ["", "Read", "read it", "1read", "r" * 41, "read:1", "read\n", "lé"])
def test_a_name_that_cannot_be_part_of_an_id_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="stage name"):
        stage(name=name)
    with pytest.raises(DefinitionError, match="pipeline name"):
        Pipeline(name, [read])


def no_arguments() -> Text: ...  # type: ignore[empty-body]
def four(text: Text, context: StageContext, params: Params, more: int) -> Text: ...  # type: ignore[empty-body]
def plain_input(text: str, context: StageContext) -> Text: ...  # type: ignore[empty-body]
def bare_input(text, context: StageContext) -> Text: ...  # type: ignore[no-untyped-def,empty-body]
def no_context(text: Text, context: Text) -> Text: ...  # type: ignore[empty-body]
def plain_output(text: Text, context: StageContext) -> str: ...  # type: ignore[empty-body]
def bare_output(text: Text, context: StageContext): ...  # type: ignore[no-untyped-def]
def plain_params(text: Text, context: StageContext, params: dict[str, int]) -> Text: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (no_arguments, "takes"),
        (four, "takes"),
        (plain_input, "'text'"),
        (bare_input, "'text'"),
        (no_context, "StageContext"),
        (plain_output, "return value"),
        (bare_output, "return value"),
        (plain_params, "'params'"),
    ],
)
def test_a_signature_that_cannot_work_is_refused(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(DefinitionError, match=f"stage 'bad'.*{reason}"):
        stage(name="bad")(function)


def test_stages_chain_by_their_types() -> None:
    pipeline = Pipeline("good", [read, mark, count])
    assert pipeline.after("read") is mark
    assert pipeline.after("count") is None
    assert pipeline.before("count") == (read, mark)
    assert pipeline["mark"] is mark
    with pytest.raises(KeyError):
        pipeline["unknown"]


def _named(name: str) -> Stage:
    @stage(name=name)
    def takes_marked(text: Marked, context: StageContext) -> Marked:
        return text

    return takes_marked


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ([], "no stages"),
        ([read, read], "two stages of one name"),
        ([mark], "'mark' comes first"),
        ([read, _named("second")], "'second' takes Marked, but 'read' before it gives Text"),
        ([read, count, mark], "'mark' takes Text, but 'count' before it gives Count"),
    ],
)
def test_a_pipeline_that_cannot_work_is_refused(stages: list[Stage], reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        Pipeline("bad", stages)


def test_a_job_may_skip_what_its_neighbours_chain_without() -> None:
    pipeline = Pipeline("good", [read, mark, count], version=4)
    short = pipeline.without(["mark"])
    assert short.stages == (read, count)
    assert short.after("read") is count
    assert (short.version, short.names, short.skipped) == (4, ("read", "mark", "count"), {"mark"})
    assert pipeline.without(["mark"]) is short
    assert pipeline.without([]) is pipeline


@pytest.mark.parametrize(
    ("skip", "reason"),
    [
        (["read"], "can't skip read: stage 'mark' comes first, so it must take a Document"),
        (["dance"], "has no stage dance to skip; it has: read, mark, count"),
        (["read", "mark", "count"], "can't skip every stage"),
    ],
)
def test_skips_that_leave_no_chain_are_refused(skip: list[str], reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        Pipeline("good", [read, mark, count]).without(skip)
    with pytest.raises(DefinitionError, match="'more' takes Marked, but 'read' before it gives Text"):
        Pipeline("strict", [read, mark, _named("more")]).without(["mark"])


def test_a_later_stage_may_take_the_document_again() -> None:
    @stage(name="again")
    async def again(document: Document, context: StageContext) -> Count:
        return Count(words=len(await document.read()))

    assert Pipeline("two-readers", [read, again]).stages == (read, again)


async def test_a_stage_that_breaks_its_promise_is_told_so(tmp_path: Path) -> None:
    @stage(name="liar")
    def liar(document: Document, context: StageContext) -> Count:
        return Text(text="not a count")  # type: ignore[return-value]

    file = tmp_path / "a.txt"
    file.write_text("a")
    with pytest.raises(TypeError, match="'liar' returned Text, not Count"):
        await run_stage(liar, file)


async def test_params_reach_the_stage_and_have_defaults(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("")
    text = Text(text="a bb ccc")
    assert await run_stage(count, file, earlier=[text]) == Count(words=3)
    assert await run_stage(count, file, earlier=[text], params=Params(least=2)) == Count(words=2)
