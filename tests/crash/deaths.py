"""What a document can do to the child process that reads it: the ways to die, and to have taken it over."""

import ctypes
import os
import socket
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


def _channel() -> socket.socket:
    """Find the socket to the parent, as code that has taken over the process would."""
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                return socket.socket(fileno=os.dup(number))
        except OSError:  # the descriptor of the folder itself
            continue
    raise AssertionError("no socket")


def write_garbage() -> None:
    _channel().sendall(b"%PDF-1.7 this is no answer, and long enough for a header")
    hang()


def claim_too_much(number: int) -> None:
    _channel().sendall(ANSWER.pack(number, 0, 1 << 40))
    hang()


def answer_twice() -> int:
    body = b'{"value":1}'
    _channel().sendall(ANSWER.pack(1, 0, len(body)) + body)
    return 2


def leave_with_an_heir() -> None:
    """Die, while a process in a session of its own keeps the socket open until the parent closes it."""
    away, leaving = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.write(leaving, b"!")
        channel = _channel()
        while channel.recv(1):
            pass
    else:
        os.read(away, 1)
    os._exit(3)
