"""Named places in the engine where a test can have its process killed, as a power cut would.

`MILLRACE_CRASH_POINT` says where: ``name``, ``name@stage`` for one stage's passages only, and ``:n`` at
the end for the n-th passage instead of the first: ``commit.written@ocr:3``. It is read once, at import.
Without it, `crash_point` is a function without a body.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from itertools import count

from pipeline.errors import DefinitionError

VARIABLE = "MILLRACE_CRASH_POINT"

POINTS = {
    "upload.begun": "the intent is written, no byte is",
    "upload.chunks": "some chunks are written, the file is not",
    "upload.stored": "the document is in GridFS, the job is not submitted",
    "submit.inserted": "the job is durable, its upload's intent still there",
    "cancel.written": "a job and its task are cancelled, and that is not committed",
    "admit.seen": "a submitted job was heard of, and is not admitted yet",
    "claim.sent": "tasks are claimed, the answer is not read",
    "claim.taken": "claimed tasks are known, and not begun",
    "attempt.begun": "the stage's code is about to run",
    "attempt.returned": "the stage's code has returned, and nothing is written",
    "output.stored": "an output's body is prepared, in GridFS when it is large",
    "checkpoint.made": "a part is made, and not saved",
    "checkpoint.saved": "a part is saved, and the stage doesn't know",
    "usage.asked": "a request to a service outside is noted, and not made",
    "usage.due": "a request was answered, and what it took is not recorded",
    "probe.begun": "this worker may ask whether a service is back, and has claimed nothing for that",
    "renew.sent": "leases are renewed, the answer is not used",
    "commit.written": "a transaction has written everything, and is not committed",
    "commit.done": "a transaction is committed, and nobody told",
    "attempt.settled": "the outcome is durable, and the slot not free yet",
    "rescue.begun": "an expired task was found, and not given back",
    "token.due": "the resume token is about to be saved",
    "token.saved": "the resume token was saved",
    "gap.opened": "a gap is recorded, and not reconciled",
    "gap.healed": "a gap is reconciled, and not closed",
    "batch.due": "the last job of a batch may have ended, and the batch has not",
    "batch.cancelling": "some jobs of a batch are cancelled, and not all",
    "reprocess.written": "some jobs of a reprocess have their next revision, and that is not committed",
    "reprocess.begun": "some jobs of a reprocess run again, and the others do not",
    "schedule.due": "a schedule is due, and not fired",
    "schedule.fired": "a tick is fired: its job is submitted, or its task has this worker's lease",
    "cleanup.written": "a job is removed with what belongs to it, and that is not committed",
    "cleanup.removed": "a job is removed, its files are not",
    "stop.begun": "the soft stop was heard",
    "stop.interrupted": "running attempts were told to stop, and are not given back",
}
"""Every point, and how things stand there."""

Subjects = Callable[[], Iterable[str]]
"""The ids of the tasks, or jobs, that a passage is about."""


def _nothing(name: str, subjects: Subjects | None = None) -> None:
    """Off: nothing."""


class _Armed:
    """Kills this process at the n-th passage that matches."""

    def __init__(self, wanted: str) -> None:
        place, _, nth = wanted.partition(":")
        self.name, _, self.stage = place.partition("@")
        if self.name not in POINTS or not (nth or "1").isdigit():
            raise DefinitionError(
                f"{VARIABLE}={wanted}: write name[@stage][:n], names are {', '.join(POINTS)}"
            )
        self._nth = int(nth or 1)
        self._passages = count(1)

    def __call__(self, name: str, subjects: Subjects | None = None) -> None:
        if name == self.name and self._concerns(subjects) and next(self._passages) == self._nth:
            sys.stderr.write(f"crash point {name}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def _concerns(self, subjects: Subjects | None) -> bool:
        return not self.stage or any(f":{self.stage}:" in each for each in (subjects or tuple)())


_wanted = os.environ.get(VARIABLE)
crash_point: Callable[..., None] = _Armed(_wanted) if _wanted else _nothing
"""`crash_point(name, subjects)`: the process ends here if the environment says so."""
