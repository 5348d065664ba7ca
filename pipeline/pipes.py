"""The pipes between a child process and this one, without blocking."""

import fcntl
import os
import sys
from contextlib import suppress
from subprocess import Popen
from typing import IO

import anyio

_SIZE = 1024**2
"""Bytes that the kernel is asked to hold in each of them, instead of 64 KiB."""


class Pipes:
    """Standard input and output of a process that was started with both as unbuffered pipes."""

    def __init__(self, process: Popen[bytes]) -> None:
        self._input, self._output = _pipe(process.stdin), _pipe(process.stdout)

    async def send(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._input.fileno(), rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._input)

    async def receive(self, length: int) -> bytearray:
        """Read so many bytes.

        Raises:
            EOFError: nobody will write so many.
        """
        received = bytearray(length)
        rest = memoryview(received)
        while rest:
            try:
                size = os.readv(self._output.fileno(), [rest])
            except BlockingIOError:
                await anyio.wait_readable(self._output)
                continue
            if not size:
                raise EOFError
            rest = rest[size:]
        return received

    def close(self) -> None:
        """Close both."""
        self._input.close()
        self._output.close()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("start the process with its standard input and output as pipes")
    os.set_blocking(stream.fileno(), False)
    if sys.platform == "linux":
        with suppress(OSError):  # the user has many pipes already: a small one is only slower
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, _SIZE)
    return stream
