"""Child processes: what crosses, what is refused, whose turn it is, when they end."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from anyio import to_thread

from pipeline import PermanentError, Snooze, TemporaryError, answers, child_process
from pipeline.child_process import without_secrets
from pipeline.errors import ChildError, ChildProcessDied, DefinitionError, InvalidAnswer, MillraceError
from pipeline.processes import Processes
from tests.crash import deaths
from tests.unit import in_child

MIB = 1024**2


def one_child() -> Processes:
    return Processes(1, 512 * MIB)


async def test_work_runs_in_another_process_that_is_kept() -> None:
    async with one_child() as one:
        first, second = await one.run(0, in_child.own_pid), await one.run(1, in_child.own_pid)
        assert first == second != os.getpid()


@pytest.mark.parametrize("function", [in_child.nothing, in_child.piece, in_child.scan, in_child.nested])
async def test_what_is_returned_comes_back(function: Callable[[], Any]) -> None:
    async with one_child() as one:
        assert await one.run(0, function) == function()


async def test_a_partial_and_a_method_are_functions_too() -> None:
    async with one_child() as one:
        long = "é" * 3_000_000
        assert await one.run(0, partial(in_child.echo, text=long)) == long
        assert await one.run(0, in_child.PIECE.moved, 2) == in_child.PIECE.moved(2)


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        (in_child.unpromised, (), "no return annotation"),
        (in_child.asynchronous, (), "plain"),
        (in_child.unknown, (), "'Unknown' is not defined"),
        (in_child.no_json, (), "schema"),
        (len, ("abc",), "plain"),
        (in_child.echo, (lambda: 1,), "can't go to a child process"),
    ],
)
async def test_what_cannot_run_there_is_refused(
    function: Callable[..., Any], arguments: tuple[Any, ...], reason: str
) -> None:
    async with one_child() as one:
        with pytest.raises(DefinitionError, match=reason):
            await one.run(0, function, *arguments)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("busy", TemporaryError("busy", retry_after=timedelta(seconds=7))),
        ("never", TemporaryError("never", retry_after=timedelta(days=366))),
        ("later", Snooze(timedelta(minutes=1), "later")),
        ("no pages", PermanentError("no pages")),
        ("damaged", ChildError("KeyError", r"'\udcff'")),
    ],
)
async def test_errors_come_back_with_their_traceback(kind: str, expected: MillraceError) -> None:
    async with one_child() as one:
        with pytest.raises(type(expected)) as raised:
            await one.run(0, in_child.fail, kind)
        assert (str(raised.value), vars(raised.value)) == (
            str(expected),
            {**vars(expected), "__notes__": raised.value.__notes__},
        )
        assert "in_child.py" in raised.value.__notes__[0]
        assert await one.run(0, in_child.echo, "goes on") == "goes on"


async def test_what_a_model_cannot_say_in_json_is_told() -> None:
    async with one_child() as one:
        with pytest.raises(ChildError, match="val_json_bytes='base64'") as raised:
            await one.run(0, in_child.bytes_that_are_no_text)
        assert raised.value.type == "TypeError"


async def test_prints_go_to_standard_error_and_standard_input_is_empty(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with one_child() as one:
        assert await one.run(0, in_child.talk) == ""
        heard = capfd.readouterr()
        assert heard.out == ""
        assert sorted(heard.err.splitlines()) == ["this too", "to standard error"]


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        (in_child.numbers, (), "value.0"),
        (in_child.many, (1_001,), "more than 1,000 values"),
        (in_child.echo, ("x" * 20_000,), "20,012 bytes"),
        (deaths.write_garbage, (), "no answer to its call"),
        (deaths.claim_too_much, (2,), "1,099,511,627,776 bytes"),
    ],
)
async def test_an_answer_that_is_not_what_was_promised_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    reason: str,
) -> None:
    async with one_child() as one:
        monkeypatch.setattr(answers, "MAX_VALUES", 1_000)
        monkeypatch.setattr(child_process, "MAX_ANSWER", 20_000)
        first = await one.run(0, in_child.own_pid)
        with pytest.raises(InvalidAnswer, match=reason):
            await one.run(0, function, *arguments)
        assert not psutil.pid_exists(first)


async def test_a_second_answer_is_not_taken_for_the_next_calls() -> None:
    async with one_child() as one:
        assert await one.run(0, deaths.answer_twice) == 1
        with pytest.raises(InvalidAnswer, match="no answer to its call"):
            await one.run(0, in_child.echo, "other")


async def test_a_child_that_leaves_is_replaced() -> None:
    async with one_child() as one:
        first = await one.run(0, in_child.own_pid)
        with pytest.raises(ChildProcessDied, match="exited with code 4"):
            await one.run(0, in_child.leave_politely)
        assert await one.run(0, in_child.own_pid) != first


async def test_an_idle_child_that_dies_is_replaced() -> None:
    async with one_child() as one:
        first = psutil.Process(await one.run(0, in_child.own_pid))
        first.kill()
        with anyio.fail_after(30):
            while one._children:
                await anyio.lowlevel.checkpoint()
        assert await one.run(0, in_child.own_pid) != first.pid


async def test_a_call_has_a_wall_clock(tmp_path: Path) -> None:
    async with one_child() as one:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(to_thread.run_sync, pipe.read_bytes)
                with pytest.raises(ChildProcessDied, match=r"took longer than 2\.5 s"):
                    await one.run(0, deaths.start_and_hang, str(pipe), timeout=timedelta(seconds=2.5))
                # The reader meets the end of the pipe when what the child has started is gone too.


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process's time")
async def test_a_call_has_a_limit_of_processor_time_of_its_own() -> None:
    second = timedelta(seconds=1)
    async with one_child() as one:
        await one.run(0, in_child.own_pid)  # the first call has time for imports, too
        for _ in range(3):
            used = await one.run(0, in_child.spin, 0.7, cpu=second)
        assert used > 2
        child = await one.run(0, in_child.own_pid)
        with pytest.raises(ChildProcessDied, match="took more processor time than it may"):
            await one.run(0, in_child.spin, 60, cpu=second)
        assert await one.run(0, in_child.own_pid) != child
        # A limit of one call is none of the next.
        await one.run(0, in_child.own_pid, cpu=second)
        assert await one.run(0, in_child.spin, 2.5) > 2


async def test_children_are_replaced_when_they_are_old_or_large(monkeypatch: pytest.MonkeyPatch) -> None:
    async with one_child() as one:
        small = [await one.run(0, in_child.grow, size) for size in (0, 50 * MIB)]
        large = [await one.run(0, in_child.grow, 250 * MIB) for _ in range(2)]
        assert small[0] == small[1] == large[0] != large[1]
        monkeypatch.setattr(child_process, "MAX_CALLS", 2)
        ages = [await one.run(0, in_child.own_pid) for _ in range(4)]
        assert ages[0] == ages[1] != ages[2] == ages[3]


async def test_memory_and_core_dumps_are_limited() -> None:
    async with one_child() as one:
        limits = {
            line[:26].strip(): line[26:].split()[:2]
            for line in (await one.run(0, in_child.limits)).splitlines()
        }
        assert limits["Max data size"] == [str(512 * MIB)] * 2
        assert limits["Max core file size"] == ["0", "0"]
        with pytest.raises(ChildProcessDied, match="ran out of memory: it may have 512 MiB"):
            await one.run(0, in_child.grow, 600 * MIB)


async def test_a_signal_to_the_whole_service_is_left_to_the_worker() -> None:
    async with one_child() as one:
        first = await one.run(0, in_child.survive_sigterm)
        assert await one.run(0, in_child.own_pid) == first


async def test_secrets_stay_with_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    async with one_child() as one:
        secrets = {
            "MILLRACE_MONGODB_URI": "mongodb://localhost",
            "MILLRACE_LLM_API_KEY": "k",
            "DATABASE_URL": "postgres://me:secret@host/db",
            "AWS_SESSION_TOKEN": "t",
            "PGPASSWORD": "p",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=x",
        }
        others = {
            "MILLRACE_TEST_TRACE": "t",
            "OMP_NUM_THREADS": "1",
            "KEYBOARD": "de",
            "HOMEPAGE": "http://a.b/@c",
        }
        for name, value in {**secrets, **others}.items():
            monkeypatch.setenv(name, value)
        seen = await one.run(0, in_child.environment)
        assert not seen.keys() & secrets.keys()
        assert others.items() <= seen.items()
        assert seen["PATH"] == os.environ["PATH"]
        assert without_secrets(secrets) == {}


async def test_children_end_with_the_block() -> None:
    async with Processes(2) as processes:
        children = [psutil.Process(await processes.run(0, in_child.own_pid))]
        with anyio.CancelScope() as scope:
            scope.cancel()
            await processes.run(0, in_child.own_pid)
    assert not any(child.is_running() for child in children)
    with pytest.raises(RuntimeError, match="async with"):
        await processes.run(0, in_child.own_pid)


SCRIPT = """
from pathlib import Path
import anyio
from pydantic import BaseModel
from pipeline import Document, StageContext, run_stage, stage

class Text(BaseModel):
    text: str

def shout(text: Text) -> Text:
    return Text(text=text.text.upper())

@stage(name="shout")
async def loud(document: Document, context: StageContext) -> Text:
    return await context.run_process(shout, Text(text=(await document.read()).decode()))

def main():
    print(anyio.run(run_stage, loud, Path(__file__).with_name("a.txt")).text)

"""


@pytest.mark.parametrize(
    ("guard", "output", "error"),
    [("if __name__ == '__main__': main()", "ABC\n", ""), ("main()", "", "if __name__ ==")],
)
@pytest.mark.parametrize("command", [["script.py"], ["-m", "script"]])
def test_functions_of_a_script_run(
    tmp_path: Path, guard: str, output: str, error: str, command: list[str]
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT + guard)
    (tmp_path / "a.txt").write_text("abc")
    repository = {**os.environ, "PYTHONPATH": os.getcwd()}
    ran = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=repository, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout == output
    assert error in ran.stderr


async def test_the_least_served_goes_first_and_equals_by_arrival() -> None:
    processes = Processes(1)
    order: list[str] = []

    async def turn(name: str, served: int) -> None:
        async with processes._turn(served):
            order.append(name)

    async with anyio.create_task_group() as group:
        async with processes._turn(0):
            for name, served in (("page 9", 9), ("page 3", 3), ("short", 0), ("shorter", 0)):
                group.start_soon(turn, name, served)
            await anyio.wait_all_tasks_blocked()
    assert order == ["short", "shorter", "page 3", "page 9"]


async def test_a_cancelled_wait_loses_no_turn() -> None:
    processes = Processes(1)

    async def wait(scope: anyio.CancelScope) -> None:
        with scope:
            async with processes._turn(0):
                raise AssertionError("it was cancelled")

    async with anyio.create_task_group() as group:
        waiting, granted = anyio.CancelScope(), anyio.CancelScope()
        async with processes._turn(0):
            group.start_soon(wait, granted)
            group.start_soon(wait, waiting)
            await anyio.wait_all_tasks_blocked()
            waiting.cancel()
            await anyio.wait_all_tasks_blocked()
            granted.cancel()  # and its turn comes before it notices
    with anyio.fail_after(5):
        async with processes._turn(0):
            assert not processes._waiting
