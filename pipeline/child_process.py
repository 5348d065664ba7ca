"""One child process as its parent sees it: started, called, ended."""

import logging
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from math import ceil, inf
from pathlib import Path

import anyio
from anyio import CancelScope, CapacityLimiter, to_thread

from pipeline import child
from pipeline.errors import ChildProcessDied, DefinitionError, InvalidAnswer
from pipeline.pipes import Pipes

_log = logging.getLogger("millrace.child")

MAX_ANSWER = 64 * 1024**2
"""Bytes of the largest answer that is taken."""

MAX_CALLS = 1_000
"""Calls after which a child is replaced: libraries in C leak."""

_CLOSED = 5.0
"""Seconds in which a child ends that has closed its pipe: it does when it dies."""

_BEGINNING = 10.0
"""Seconds of processor time for imports, which a child's first call has on top of its own."""

_SECRET = re.compile(
    r"(^|_)(AUTH|COOKIES?|CREDENTIALS?|DSN|HEADERS|KEYS?|PAT|URI)(_|$)|PASSPHRASE|PASSW|SECRET|TOKEN", re.I
)
_CREDENTIALS = re.compile(r"://[^/\s]*@")


class ChildProcess:
    """A child process, tethered to this one, at the head of a session and process group of its own.

    Its calls come one after the other. `watch` must run for as long as it lives.
    """

    def __init__(self, memory: int) -> None:
        """Start it; `memory` is how many bytes of private memory it may have.

        Raises:
            DefinitionError: this is a child process itself.
        """
        if getattr(sys.modules["__main__"], "__file__", None) == child.__file__:
            raise DefinitionError(
                "a child process was about to start children: "
                'in a script, call it below `if __name__ == "__main__":`'
            )
        self._memory = memory
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-P", str(Path(child.__file__))],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=without_secrets(os.environ),
            start_new_session=True,
        )
        self._pipes = Pipes(self._process)
        self._unsent = _framed(child.Setup.by_this_process(memory).encoded())
        self._calls = 0
        self._sound = True
        self._bounded = False
        """Whether its last call had a limit of processor time."""
        self._ended = anyio.Event()
        self._call = CancelScope()
        """Of the call that runs, if any."""

    async def watch(self) -> None:
        """Wait until it has ended, then end what it had started and the call that waits for it."""
        await to_thread.run_sync(self._process.wait, limiter=CapacityLimiter(1))
        self.kill()
        self._ended.set()
        self._call.cancel()

    @property
    def reusable(self) -> bool:
        """Whether it may have another call: it is alive and well, not too old and not too large."""
        return (
            self._sound
            and not self._ended.is_set()
            and self._calls < MAX_CALLS
            and self._held() <= self._memory / 2
        )

    async def call(
        self, message: bytes, timeout: timedelta | None, cpu: timedelta | None = None
    ) -> tuple[bool, bytearray]:
        """Send a call and return whether the answer is an error, and its JSON.

        However else this ends, the child is not reusable, and is to be ended.

        Raises:
            ChildProcessDied: it ended, or took longer than `timeout` or more processor time than `cpu`;
                the message says how.
            InvalidAnswer: its answer is too large or none at all.
        """
        self._calls += 1
        self._sound = False
        self._allow(cpu)
        try:
            seconds = inf if timeout is None else timeout.total_seconds()
            with anyio.move_on_after(seconds) as self._call:
                is_error, answer = await self._exchange(message)
                self._sound = True
                return is_error, answer
            how = self._death() if self._ended.is_set() else f"took longer than {seconds:g} s"
        except (EOFError, BrokenPipeError):
            with anyio.move_on_after(_CLOSED):
                await self._ended.wait()
            how = self._death() if self._ended.is_set() else "closed its pipe"
        raise ChildProcessDied(how)

    async def end(self) -> None:
        """Kill it with everything that it started, and wait for its end; is not cancelled."""
        self._sound = False
        self.kill()
        with CancelScope(shield=True):
            await self._ended.wait()
        self._pipes.close()

    def kill(self) -> None:
        """Kill its process group."""
        if not self._ended.is_set():
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                _log.debug("child process %d has ended already", self._process.pid)

    async def _exchange(self, message: bytes) -> tuple[bool, bytearray]:
        await self._pipes.send(self._unsent + _framed(message))
        self._unsent = b""
        number, is_error, length = child.ANSWER.unpack(await self._pipes.receive(child.ANSWER.size))
        if number != self._calls or is_error > 1:
            raise InvalidAnswer("a child process wrote something that is no answer to its call")
        if length > MAX_ANSWER:
            raise InvalidAnswer(
                f"a child process answered with {length:,} bytes, and at most {MAX_ANSWER:,} are taken: "
                "return parts, or the path of a file"
            )
        return bool(is_error), await self._pipes.receive(length)

    def _allow(self, cpu: timedelta | None) -> None:
        """Bound the processor time of the next call, to a second; on Linux only."""
        if sys.platform != "linux" or (cpu is None and not self._bounded):
            return
        self._bounded = cpu is not None
        with suppress(ProcessLookupError, FileNotFoundError):  # it has ended: the call will tell
            _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_CPU)
            soft = hard
            if cpu is not None:
                begins = _BEGINNING if self._calls == 1 else 0.0
                most = ceil(self._used() + cpu.total_seconds() + begins)
                soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
            # The hard limit stays: it could not be raised again for the next call.
            resource.prlimit(self._process.pid, resource.RLIMIT_CPU, (soft, hard))

    def _used(self) -> float:
        """Return its seconds of processor time until now."""
        with open(f"/proc/{self._process.pid}/stat", "rb", buffering=0) as status:
            # Behind the name, which may hold spaces: user and system time are fields 14 and 15 of all.
            ticks = status.read().rpartition(b")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def _held(self) -> int:
        """Return the bytes that count against its limit, 0 where the system doesn't tell."""
        if sys.platform != "linux":
            return 0
        with open(f"/proc/{self._process.pid}/statm", "rb", buffering=0) as status:
            return int(status.read().split()[5]) * resource.getpagesize()

    def _death(self) -> str:
        status = self._process.returncode
        if status >= 0:
            return f"exited with code {status}"
        name = signal.Signals(-status).name
        if -status == signal.SIGXCPU:
            return f"took more processor time than it may ({name})"
        starved = -status in (signal.SIGKILL, signal.SIGABRT)
        return f"killed by {name}" + (" (out of memory, perhaps)" if starved else "")


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment a child process gets: all but what looks like a secret.

    No list of what is allowed: libraries and stages are configured by variables that nobody here knows,
    and would fail without a word.
    """
    return {
        name: value
        for name, value in environment.items()
        if not _SECRET.search(name) and not _CREDENTIALS.search(value)
    }


def _framed(message: bytes) -> bytes:
    return child.MESSAGE.pack(len(message)) + message
