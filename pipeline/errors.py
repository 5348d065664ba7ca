"""Every error that Millrace raises. A class's docstring is its default message.

::

    MillraceError
    ├── StageError                 raised by a stage's author
    │   ├── TemporaryError         try again, after `retry_after` when it is given
    │   ├── Snooze                 not now: later, and no attempt is charged
    │   │   ├── Unavailable        an outside service is away: nobody calls it until it is back
    │   │   └── DaySpent           the budget of a tenant, or of all, is used up for this day
    │   └── PermanentError         trying again cannot help
    │       ├── NoOutput           no earlier stage of this job gives what the stage asked for
    │       ├── BudgetExceeded     the job has used up what it may spend
    │       └── InDoubt            an earlier attempt may have done what must not be done twice
    ├── PartError                  one part of a stage's work failed; `__cause__` says why
    ├── ChildError                 a function raised this in a child process; `type` names it
    ├── ChildProcessDied           a child process crashed, was killed, ran out of memory or took too long
    ├── InvalidAnswer              a child process answered with something that was not promised
    ├── DefinitionError            a stage or a pipeline that cannot work, found where it is defined
    ├── PreparationFailed          a stage's `prepare` raised: this worker can't run it
    ├── LeaseLost                  this attempt no longer holds its task
    ├── SubmissionError            a job that cannot be accepted
    │   └── IdempotencyConflict    the key was used before with other content
    ├── NotFound                   no such job, output or pipeline
    ├── StateConflict              the job or task is not in a state that allows this
    └── StoreError                 the database
        ├── StoreUnavailable       not reachable, or no majority: try again later
        │   └── Contended          what is to be written is locked by another transaction
        ├── NotAReplicaSet         reachable, but without change streams and transactions
        └── HistoryLost            the change stream cannot go on from this position
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pipeline.breaker import FIRST, LEAST

_LONGEST_SERVICE = 120
_SERVICE = re.compile(rf"[!-~]{{1,{_LONGEST_SERVICE}}}")


class MillraceError(Exception):
    """Millrace failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class StageError(MillraceError):
    """The stage failed."""


class TemporaryError(StageError):
    """The stage failed for a reason that may pass: the task is tried again.

    `retry_after` replaces the stage's own backoff for this one retry.
    """

    def __init__(self, message: str | None = None, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Snooze(StageError):
    """The stage can't go on just now, through no fault of its document: it is called again in `delay`.

    For a result that isn't there yet; of a service that is down tell by `Unavailable`. No attempt is
    charged, so it may happen any number of times; a job's deadline ends it.
    """

    def __init__(self, delay: timedelta, message: str | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class Unavailable(Snooze):
    """An outside service is away.

    All stages that use it are parked, on all workers, until it is back: in `retry_after` one attempt finds
    out, without it in 5 s, doubling to 5 min. No attempt is charged. `service` is a name of your own,
    up to 120 letters, digits and signs; people see it, so no secret may be in it.

    Out of `StageContext.run_process` it comes as a plain `Snooze`: what a document may have taken over
    parks no stage.

    Raises:
        DefinitionError: this can't be a service's name.
    """

    told = False
    """The worker knows of it already."""

    def __init__(
        self, service: str, message: str | None = None, *, retry_after: timedelta | None = None
    ) -> None:
        self.check(service)
        super().__init__(
            FIRST if retry_after is None else max(retry_after, LEAST), message or f"{service} is away"
        )
        self.service = service
        self.retry_after = retry_after

    @staticmethod
    def check(service: str) -> None:
        """Raise a DefinitionError if this can't be a service's name."""
        if not _SERVICE.fullmatch(service):
            raise DefinitionError(
                f"service name {service[:80]!r}: use letters, digits and signs, no spaces, "
                f"at most {_LONGEST_SERVICE}"
            )


class DaySpent(Snooze):
    """The budget of `subject` is used up for this day: the stage goes on with the next, or when it is raised.

    `seen` are the budgets that were looked up, in their versions.
    """

    def __init__(self, delay: timedelta, message: str, subject: str, seen: Mapping[str, Any]) -> None:
        super().__init__(delay, message)
        self.subject = subject
        self.seen = seen


class PermanentError(StageError):
    """The stage failed for a reason that trying again cannot change."""


class NoOutput(PermanentError, LookupError):
    """No earlier stage of this job gives an output of that type."""


class BudgetExceeded(PermanentError):
    """The job has used up its budget: raise it, and try the job again."""


class InDoubt(PermanentError):
    """An earlier attempt may have done an effect that must not be done twice."""


class PartError(MillraceError):
    """A part of the stage's work failed; the error that it met is `__cause__`."""

    def __init__(self, part: str) -> None:
        super().__init__(f"{part} failed")
        self.part = part


class ChildError(MillraceError):
    """A function raised an error in its child process; `type` is the name of that error's class.

    The child's traceback is a note of it.
    """

    def __init__(self, type_: str, message: str) -> None:
        super().__init__(message or type_)
        self.type = type_


class ChildProcessDied(MillraceError):
    """The child process died, and what it was to do is not done; a new one serves the next call."""


class InvalidAnswer(MillraceError):
    """The child process answered with something that its function does not promise."""


class DefinitionError(MillraceError):
    """A stage or a pipeline is defined in a way that cannot work."""


class PreparationFailed(MillraceError):
    """A stage could not be prepared; its `prepare` raised what is the cause."""


class KeyMissing(PermanentError):
    """A secret param can't be decrypted, as this process does not have the key."""


class LeaseLost(MillraceError):
    """Another worker may hold this task now; whatever this attempt produced is thrown away."""


class SubmissionError(MillraceError):
    """The job cannot be accepted."""


class IdempotencyConflict(SubmissionError):
    """This idempotency key was used before with another document, pipeline or params."""


class NotFound(MillraceError):
    """There is no such thing here."""


class StateConflict(MillraceError):
    """The state that it is in does not allow this."""


class StoreError(MillraceError):
    """The database failed."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, or has no majority, right now."""


class Contended(StoreUnavailable):
    """What is to be written stayed locked by another transaction, perhaps that of a killed process."""


class NotAReplicaSet(StoreError):
    """The MongoDB server is not a member of a replica set.

    Change streams and transactions need one. Start mongod with `--replSet rs0` and run
    `rs.initiate()` once; one member is enough. `replica-set.compose.yml` starts three.
    """


class HistoryLost(StoreError):
    """The change stream cannot continue from this position."""
