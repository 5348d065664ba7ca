"""What a document can do to the child process that reads it: the ways to die, and to have taken it over."""

import ctypes
import fcntl
import os
import select
import stat
import subprocess
import sys
from pathlib import Path

from pipeline.child import ANSWER


def own_pid() -> int:
    """No poison."""
    return os.getpid()


def raise_error() -> None:
    raise ValueError("page 3 has no colours")


def segfault() -> None:
    ctypes.string_at(0)


def abort() -> None:
    """As C++ does when nobody catches std::bad_alloc."""
    os.abort()


def take_memory() -> None:
    hold = []
    while True:
        hold.append(bytearray(16 * 1024**2))


def hang() -> None:
    """In C, with the lock of the interpreter held."""
    ctypes.PyDLL(None).pause()


def leave() -> None:
    os._exit(3)


def announce_and_hang(pipe: str) -> None:
    """Write this process's id into a named pipe, which closes when the process ends."""
    with Path(pipe).open("w") as stream:
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        hang()


def start_and_hang(pipe: str) -> None:
    """The same, of a process that this one has started."""
    announce = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(3600)"
    with Path(pipe).open("w") as stream:
        subprocess.Popen([sys.executable, "-c", announce], stdout=stream)
    hang()


def _answers() -> int:
    """Find the pipe to the parent, as code that has taken over the process would."""
    for number in range(3, 64):
        try:
            is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode)
            mode = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
        except OSError:  # nothing is open there
            continue
        if is_pipe and mode == os.O_WRONLY:
            return number
    raise AssertionError("no pipe")


def write_garbage() -> None:
    os.write(_answers(), b"%PDF-1.7 this is no answer, and long enough for a header")
    hang()


def claim_too_much(number: int) -> None:
    os.write(_answers(), ANSWER.pack(number, 0, 1 << 40))
    hang()


def answer_twice() -> int:
    body = b'{"value":1}'
    os.write(_answers(), ANSWER.pack(1, 0, len(body)) + body)
    return 2


def leave_with_an_heir() -> None:
    """Die, while a process in a session of its own keeps the pipe open until the parent closes it."""
    away, leaving = os.pipe()
    answers = _answers()
    if os.fork() == 0:
        os.setsid()
        os.write(leaving, b"!")
        reader = select.poll()
        reader.register(answers, 0)
        reader.poll()
    else:
        os.read(away, 1)
    os._exit(3)
