"""Child processes for work that keeps a core busy, shared by all attempts of a worker.

The attempt that was served least goes first, so that a one-page document does not wait behind all the
pages of a long one.
"""

import heapq
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Self, TypeVar, TypeVarTuple

import anyio
from anyio.abc import TaskGroup

from pipeline.answers import AnswerType
from pipeline.child_process import ChildProcess
from pipeline.errors import ChildProcessDied, DefinitionError, InvalidAnswer
from pipeline.raised import Raised

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

MEMORY = 4 * 1024**3
"""Bytes of private memory that a child process may have when nothing else is said."""


class Processes:
    """At most `total` child processes of `memory` bytes each, kept for the next call.

    They are started when they are needed, inside `async with`, and have ended behind it.
    """

    def __init__(self, total: int, memory: int = MEMORY) -> None:
        self.total = total
        self._memory = memory
        self._free = total
        self._arrival = count()
        self._waiting: list[tuple[int, int, anyio.Event]] = []
        self._children: set[ChildProcess] = set()
        self._idle: list[ChildProcess] = []
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Allow calls."""
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Kill the children."""
        group, self._group = self._open(), None
        for child in self._children:
            child.kill()
        await group.__aexit__(None, None, None)  # an error goes on as it is, not in a group

    async def run(
        self,
        served: int,
        function: Callable[[*Arguments], T],
        *arguments: *Arguments,
        timeout: timedelta | None = None,
        cpu: timedelta | None = None,
    ) -> T:
        """Run a function in a child process and return what it returns, or raise what it raises.

        The function and its arguments must be picklable; its annotated return type, something that
        pydantic can turn into JSON and back: so it comes back. `served` is how many calls the caller has
        had; those with fewer go first. The child is killed, with everything that it started, when the
        call is cancelled, takes longer than `timeout` or more processor time than `cpu` (on Linux), and
        dies with this process.

        Raises:
            DefinitionError: the function or its arguments can't go to a child process.
            TemporaryError, PermanentError: the function raised it.
            ChildError: the function raised anything else.
            ChildProcessDied: it crashed, exited, ran out of memory or took too long.
            InvalidAnswer: what came back is not what the function promises.
        """
        type_ = AnswerType.of(function)
        message = _pickled(function, arguments)
        async with self._turn(served), self._child() as child:
            is_error, answer = await child.call(message, timeout, cpu)
            if is_error:
                raise Raised.of(answer).error()
            return type_.load(answer)

    @asynccontextmanager
    async def _child(self) -> AsyncIterator[ChildProcess]:
        """Lend a child that nobody else uses; keep it for the next, or end it."""
        child = self._idle.pop() if self._idle else self._start()
        try:
            yield child
        except (ChildProcessDied, InvalidAnswer):
            await child.end()
            raise
        finally:
            if child.reusable:
                self._idle.append(child)
            else:
                await child.end()

    def _start(self) -> ChildProcess:
        group = self._open()
        child = ChildProcess(self._memory)
        self._children.add(child)
        group.start_soon(self._watch, child)
        return child

    async def _watch(self, child: ChildProcess) -> None:
        await child.watch()
        self._children.remove(child)
        if child in self._idle:
            self._idle.remove(child)
            await child.end()

    def _open(self) -> TaskGroup:
        if self._group is None:
            raise RuntimeError("child processes are used inside `async with Processes(…)`")
        return self._group

    @asynccontextmanager
    async def _turn(self, served: int) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            await self._wait(served)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, served: int) -> None:
        turn = anyio.Event()
        entry = (served, next(self._arrival), turn)
        heapq.heappush(self._waiting, entry)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._pass_on()
            else:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def _pass_on(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[2].set()
        else:
            self._free += 1


def _pickled(function: Callable[..., object], arguments: tuple[object, ...]) -> bytes:
    try:
        return pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise DefinitionError(
            f"{function} can't go to a child process with these arguments: {error}. "
            "Give a function of a module, and plain values"
        ) from error
