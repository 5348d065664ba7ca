"""What runs inside a child process: `python child.py`, with pipes to its parent as stdin and stdout.

The file is run by its path. It knows nothing of Millrace before its parent, in the first message, has
said where Python imports from. Calls come pickled, as the parent is trusted. Answers go back as JSON:
the document may have taken over the code that read it.
"""

import json
import os
import pickle
import resource
import runpy
import signal
import struct
import sys
from dataclasses import asdict, dataclass
from io import BufferedReader, BufferedWriter, BytesIO
from itertools import count
from types import ModuleType
from typing import Any

MESSAGE = struct.Struct(">Q")
"""Before every message to the child: its length in bytes."""

ANSWER = struct.Struct(">QBQ")
"""Before every answer: to which call, counted from 1; 1 for an error, 0 for a value; length in bytes."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The first message to a child, as JSON."""

    parent: int
    """Process id."""
    memory: int
    """Bytes of private memory that the child may have."""
    path: list[str]
    """The parent's `sys.path`."""
    main_module: str | None
    """The parent's main module, when it was started by name."""
    main_file: str | None
    """The file of the parent's main module, when it has one."""

    @classmethod
    def by_this_process(cls, memory: int) -> "Setup":
        """Describe this process to a child of it."""
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        file = getattr(main, "__file__", None)
        return cls(os.getpid(), memory, sys.path, spec.name if spec else None, file)

    def encoded(self) -> bytes:
        """Return the message."""
        return json.dumps(asdict(self)).encode()


def main() -> None:
    """Do calls until the parent closes the pipe."""
    with os.fdopen(os.dup(0), "rb") as messages, os.fdopen(os.dup(1), "wb") as answers:
        _leave_standard_streams()
        first = _read(messages)
        if first is None:
            return
        setup = Setup(**json.loads(first))
        sys.path[:] = setup.path
        _confine(setup)
        _serve(messages, answers, setup)


def _leave_standard_streams() -> None:
    """Code that reads standard input meets its end; what it prints goes to standard error."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)


def _confine(setup: Setup) -> None:
    """End with the parent, leave no core dump, take no more memory than is allowed."""
    from pipeline.tether import tether

    tether(setup.parent, signal.SIGKILL)
    # Service managers signal every process of a service: the worker decides what becomes of its children.
    # No SIG_IGN, which would be inherited by what is started here.
    signal.signal(signal.SIGTERM, lambda *_: None)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    memory = setup.memory if most == resource.RLIM_INFINITY else min(setup.memory, most)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _serve(messages: BufferedReader, answers: BufferedWriter, setup: Setup) -> None:
    for number in count(1):
        message = _read(messages)
        if message is None:
            return
        is_error, body = _answer(_Call(message, setup))
        answers.write(ANSWER.pack(number, is_error, len(body)) + body)
        answers.flush()


def _read(messages: BufferedReader) -> bytes | None:
    """Return the next message; None at the end of the stream."""
    head = messages.read(MESSAGE.size)
    return messages.read(MESSAGE.unpack(head)[0]) if len(head) == MESSAGE.size else None


class _Call(pickle.Unpickler):
    """A function and its arguments."""

    def __init__(self, message: bytes, setup: Setup) -> None:
        super().__init__(BytesIO(message))
        self._setup = setup

    def find_class(self, module: str, name: str) -> Any:
        """Find what the pickle names; the parent's main module only when it is asked for."""
        if module == "__main__" and "__mp_main__" not in sys.modules:
            _import_main(self._setup)
        return super().find_class(module, name)


def _answer(call: _Call) -> tuple[bool, bytes]:
    """Do a call; return whether it raised, and the value or the error."""
    from pipeline.answers import AnswerType
    from pipeline.raised import Raised

    try:
        function, arguments = call.load()
        return False, AnswerType.of(function).dump(function(*arguments))
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is the answer
        return True, Raised.by(error).model_dump_json().encode()


def _import_main(setup: Setup) -> None:
    """Import the parent's main module, as multiprocessing does: under a name that says that it isn't run.

    Raises:
        ImportError: it is no file.
    """
    if setup.main_module is not None:
        names = runpy.run_module(setup.main_module, run_name="__mp_main__", alter_sys=True)
    elif setup.main_file is not None and os.path.isfile(setup.main_file):
        names = runpy.run_path(setup.main_file, run_name="__mp_main__")
    else:
        raise ImportError(
            "a child process can't import the main module, which is no file: "
            "put the function into a module of its own"
        )
    module = ModuleType("__mp_main__")
    module.__dict__.update(names)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module


if __name__ == "__main__":
    main()
