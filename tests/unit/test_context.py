"""What stage code sees: checkpoints, parts, progress, earlier outputs, child processes."""

import os
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from pydantic import BaseModel

from pipeline import Document, PermanentError, Progress, StageContext, TemporaryError, run_stage, stage
from pipeline.errors import ChildProcessDied, PartError
from pipeline.trial import MemoryServices
from tests.support import Count, Text


class Page(BaseModel):
    number: int
    text: str


Work = Callable[[StageContext], Awaitable[Any]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "document.txt"
    path.write_text("one two")
    return path


async def run(
    file: Path, work: Work, *, services: MemoryServices | None = None, processes: int = 2, **options: Any
) -> MemoryServices:
    """Run `work` inside of a stage; returns what it left behind."""
    services = services or MemoryServices(file, {})

    @stage(name="work")
    async def worker(document: Document, context: StageContext) -> Text:
        await work(context)
        return Text(text="")

    await run_stage(worker, file, services=services, processes=processes, **options)
    return services


async def test_the_document_is_what_was_submitted(file: Path) -> None:
    async def work(context: StageContext) -> None:
        document = context.document
        assert await document.read() == b"one two"
        assert (document.name, document.media_type, document.size) == ("document.txt", "text/plain", 7)

    await run(file, work)


async def test_a_checkpoint_is_made_once(file: Path) -> None:
    made: list[int] = []

    async def work(context: StageContext) -> None:
        async def page() -> Page:
            made.append(1)
            return Page(number=1, text="a")

        for _ in range(2):
            assert await context.checkpoint("first", page, Page) == Page(number=1, text="a")

    services = await run(file, work)
    await run(file, work, services=services)
    assert made == [1]
    assert services.saved == {"first": {"number": 1, "text": "a"}}


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (str, "a"),
        (bytes, b"text"),
        (list[Page], [Page(number=1, text="a")]),
        (dict[str, timedelta], {"a": timedelta(seconds=90)}),
        (tuple[int, float], (1, 0.5)),
        (Path, Path("a/b")),
    ],
    ids=str,
)
async def test_a_checkpoint_comes_back_as_what_it_was(file: Path, type_: Any, value: Any) -> None:
    returned: list[Any] = []

    async def work(context: StageContext) -> None:
        async def make() -> Any:
            return value

        returned.append(await context.checkpoint("key", make, type_))

    services = await run(file, work)
    await run(file, work, services=services)
    assert returned == [value, value]


async def test_a_checkpoint_that_fails_saves_nothing(file: Path) -> None:
    async def work(context: StageContext) -> None:
        async def broken() -> str:
            raise TemporaryError("not yet")

        await context.checkpoint("key", broken, str)

    services = MemoryServices(file, {})
    with pytest.raises(TemporaryError):
        await run(file, work, services=services)
    assert services.saved == {}


def upper(done: list[str]) -> Work:
    """Work on three parts, of which `done` notes those that really ran."""

    async def work(context: StageContext) -> None:
        async def one(part: str) -> str:
            done.append(part)
            return part.upper()

        assert await context.each(["a", "b", "c"], one, str, unit="page") == ["A", "B", "C"]

    return work


async def test_each_keeps_the_order_and_counts_up(file: Path) -> None:
    services = await run(file, upper([]))
    assert services.saved == {"page-1": "A", "page-2": "B", "page-3": "C"}
    counts = [progress.done for progress in services.reported]
    assert counts == sorted(counts)
    assert (services.reported[0], services.reported[-1]) == (Progress(0, 3, "page"), Progress(3, 3, "page"))


async def test_each_resumes_after_the_saved_parts(file: Path) -> None:
    services, done = MemoryServices(file, {}), list[str]()
    services.saved["page-2"] = "B"
    await run(file, upper(done), services=services)
    assert done == ["a", "c"]
    assert services.reported[0] == Progress(1, 3, "page")
    assert services.reported[-1] == Progress(3, 3, "page")


async def test_a_note_stays_beside_the_count_until_something_else_is_counted(file: Path) -> None:
    async def work(context: StageContext) -> None:
        async def one(part: str) -> str:
            context.note(f"at {part}")
            return part

        await context.each(["a", "b"], one, str, unit="page", concurrency=1)
        context.progress(0, 1, "merge")

    services = await run(file, work)
    assert services.reported == [
        Progress(0, 2, "page"),
        Progress(0, 2, "page", "at a"),
        Progress(1, 2, "page", "at a"),
        Progress(1, 2, "page", "at b"),
        Progress(2, 2, "page", "at b"),
        Progress(0, 1, "merge"),
    ]


@pytest.mark.parametrize("text", ["a" * 81, "two\nlines"])
async def test_a_note_is_one_short_line(file: Path, text: str) -> None:
    async def work(context: StageContext) -> None:
        context.note(text)

    with pytest.raises(ValueError, match="80 characters"):
        await run(file, work)


async def test_each_of_nothing_is_nothing(file: Path) -> None:
    async def work(context: StageContext) -> None:
        async def one(part: str) -> str:
            return part

        assert await context.each([], one, str) == []

    assert (await run(file, work)).saved == {}


@pytest.mark.parametrize(("concurrency", "expected"), [(1, 1), (3, 3), (None, 2)])
async def test_each_does_as_many_at_once_as_is_allowed(
    file: Path, concurrency: int | None, expected: int
) -> None:
    """With two child processes, two when not told otherwise."""
    inside, most = 0, 0

    async def work(context: StageContext) -> None:
        async def one(part: int) -> int:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await anyio.wait_all_tasks_blocked()
            inside -= 1
            return part

        await context.each(range(9), one, int, concurrency=concurrency)

    await run(file, work, processes=2)
    assert most == expected


async def test_a_part_that_fails_is_named_and_stops_the_others(file: Path) -> None:
    stopped: list[int] = []

    async def work(context: StageContext) -> None:
        async def one(part: int) -> int:
            if part == 10:
                return part
            if part == 20:
                await anyio.wait_all_tasks_blocked()
                raise PermanentError("torn")
            try:
                await anyio.sleep_forever()
            finally:
                stopped.append(part)
            raise AssertionError

        await context.each([10, 20, 30], one, int, unit="page", concurrency=3)

    services = MemoryServices(file, {})
    with pytest.raises(PartError) as raised:
        await run(file, work, services=services)
    assert raised.value.part == "page 2"
    assert isinstance(raised.value.__cause__, PermanentError)
    assert stopped == [30]
    assert services.saved == {"page-1": 10}


async def test_an_earlier_output_is_found_by_its_type(file: Path) -> None:
    class Marked(Text):
        marks: int

    async def work(context: StageContext) -> None:
        assert await context.output(Count) == Count(words=2)
        assert (await context.output(Text)).text == "a"  # what is given is a kind of what is asked for
        with pytest.raises(LookupError, match="gives Page"):
            await context.output(Page)

    await run(file, work, earlier=[Marked(text="a", marks=1), Count(words=2)])


def whoami(text: str) -> tuple[int, str]:
    return os.getpid(), text.upper()


def come_back_later() -> None:
    raise TemporaryError("busy", retry_after=timedelta(seconds=7))


def die() -> None:
    os._exit(3)


def hold_open(pipe: str) -> None:
    """Write this process's id into a named pipe and never close it."""
    with Path(pipe).open("w") as stream:
        stream.write("alive\n")
        stream.flush()
        while True:
            time.sleep(60)


async def test_a_function_runs_in_another_process(file: Path) -> None:
    async def work(context: StageContext) -> None:
        process, text = await context.run_process(whoami, "abc")
        assert process != os.getpid()
        assert text == "ABC"

    await run(file, work)


async def test_an_error_crosses_from_its_process(file: Path) -> None:
    async def work(context: StageContext) -> None:
        await context.run_process(come_back_later)

    with pytest.raises(TemporaryError, match="busy") as raised:
        await run(file, work)
    assert raised.value.retry_after == timedelta(seconds=7)


async def test_a_process_that_dies_is_noticed_and_the_next_call_works(file: Path) -> None:
    async def work(context: StageContext) -> None:
        with pytest.raises(ChildProcessDied):
            await context.run_process(die)
        assert (await context.run_process(whoami, "a"))[1] == "A"

    await run(file, work)


async def test_cancelling_kills_the_process(file: Path, tmp_path: Path) -> None:
    """The kernel closes the pipe when its writer dies: the reader meets its end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ended: list[str] = []

    async def work(context: StageContext) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(context.run_process, hold_open, str(pipe))
            with anyio.fail_after(30):
                stream = await to_thread.run_sync(pipe.open, abandon_on_cancel=True)
                assert await to_thread.run_sync(stream.readline, abandon_on_cancel=True) == "alive\n"
                group.cancel_scope.cancel()
                with anyio.move_on_after(30, shield=True), stream:
                    ended.append(await to_thread.run_sync(stream.read, abandon_on_cancel=True))

    await run(file, work)
    assert ended == [""]
