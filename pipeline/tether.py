"""Run a program that ends when its parent does: `python tether.py PROGRAM ARGUMENT…`.

A supervisor that is killed cannot stop its children, so on Linux the kernel is asked to send them
SIGTERM (prctl(2), PR_SET_PDEATHSIG; it survives execve). Elsewhere this only runs the program. The file
is run by its path and imports nothing of Millrace, so it costs some milliseconds.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def tethered(command: list[str]) -> list[str]:
    """Return the command line that runs `command` tethered to the process that starts it."""
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), *command]


def tether(parent: int, number: signal.Signals) -> None:
    """Have this process signalled when its parent, of that process id, ends. Cheap, and may be repeated."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            sys.exit("the parent is gone already")


def main() -> None:
    """Tether this process to its parent and become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    tether(parent, signal.SIGTERM)
    os.execvp(program[0], program)  # noqa: S606 -- there is no shell to want


if __name__ == "__main__":
    main()
