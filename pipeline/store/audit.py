"""Check the engine's promises over the whole database, in one snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.store import file_promises, job_promises, output_promises, promises
from pipeline.store.driver import Client, Doc, translated
from pipeline.store.input_promises import inputs_are_what_they_say
from pipeline.store.scan import Check, Snapshot, snapshot

EXAMPLES = 5


class Finding(BaseModel):
    """What was found of one promise."""

    promise: str
    title: str
    checked: int
    """Documents looked at: a document that several checks look at counts for each."""
    violations: int
    examples: list[str]
    """Ids, at most five."""
    advice: str
    """What to do about violations that a repair leaves."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise, and the checks that it holds; `advice` is for what no repair can mend."""

    name: str
    title: str
    checks: Sequence[Check]
    advice: str = ""

    async def check(self, database: Snapshot) -> Finding:
        """Look at everything that it is about."""
        checked = violations = 0
        examples: list[str] = []
        for check in self.checks:
            async for page in check(database):
                checked += page.checked
                violations += len(page.violating)
                examples += [str(each) for each in page.violating[: EXAMPLES - len(examples)]]
        return Finding(
            promise=self.name,
            title=self.title,
            checked=checked,
            violations=violations,
            examples=examples,
            advice=self.advice,
        )


class Audit:
    """One pass over the database. It only reads, without locks, and doesn't hold running work up."""

    def __init__(self, client: Client, db: AsyncDatabase[Doc], grace: timedelta) -> None:
        self._client = client
        self._db = db
        self._promises = all_promises(grace)

    @translated
    async def run(self) -> list[Finding]:
        """Check everything; each promise is a finding, also when it holds.

        Raises:
            StoreError: the server has not kept the snapshot for long enough; the message says what to do.
            StoreUnavailable: the server is away.
        """
        async with snapshot(self._client, self._db) as database:
            return [await promise.check(database) for promise in self._promises]


def all_promises(grace: timedelta) -> list[Promise]:
    """Return all promises; bytes that belong to nobody count from an age of `grace` on."""
    return [
        Promise(
            "I1",
            "no accepted job is lost",
            [job_promises.jobs_have_work()],
            "cancel the job, or run it again from the stage whose task or output is missing",
        ),
        Promise(
            "I2",
            "one output for every succeeded task",
            [output_promises.successes_have_outputs(), output_promises.outputs_have_tasks()],
            "somebody removed what belongs together: run the job again from that stage, or submit it again",
        ),
        Promise(
            "I3",
            "one successor for every completed task",
            [job_promises.tasks_have_successors()],
            "run the job again from the stage after the task",
        ),
        Promise(
            "I4",
            "no write by a holder after a later claim",
            [output_promises.outputs_have_the_last_fence(), promises.checkpoints_have_a_fence()],
            "don't trust this output: run the job again from that stage, and report it as a bug",
        ),
        Promise(
            "I5",
            "an output names what it was made from",
            [inputs_are_what_they_say()],
            "don't trust what the task wrote: run the job again from the stage that its input comes from",
        ),
        Promise(
            "I6",
            "attempts are bounded, and failures say why",
            [promises.attempts_are_bounded(), promises.failed_jobs_say_why()],
            "cancel the job, or run it again, and report it as a bug",
        ),
        Promise(
            "I7",
            "no orphan bytes, none missing",
            [
                file_promises.files_have_owners(grace),
                file_promises.files_have_chunks(),
                file_promises.chunks_are_whole(grace),
                file_promises.referred_files_are_there("jobs", "document.file_id", "document.size"),
                file_promises.referred_files_are_there(
                    "schedules", "job.document.file_id", "job.document.size"
                ),
                file_promises.referred_files_are_there("outputs", "file_id", "size"),
            ],
            "bytes that are gone come back from a backup only: submit the document again",
        ),
        Promise(
            "I8",
            "a saved token never goes back, and every gap in the stream was reconciled",
            [promises.gaps_are_closed(), promises.tokens_are_after_gaps()],
            "start a worker of that role: it reconciles before it listens",
        ),
        Promise("I9", "a webhook event has one id over all its deliveries (no webhooks are sent yet)", []),
    ]
