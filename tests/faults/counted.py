"""A pipeline that counts how often its stages and their parts run."""

import itertools
from collections import Counter
from datetime import timedelta

import anyio

from pipeline import Document, StageContext, stage
from pipeline.client import Client
from pipeline.patience import until_available
from pipeline.stage import Stage
from pipeline.store import Store
from tests.records import violations
from tests.support import Count, Text, pipeline_of, submit

_numbers = itertools.count()


class Counted:
    """A pipeline of its own name, that counts how often its stages run; its first one waits to be let on."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.let_on = anyio.Event()
        self.pipeline = pipeline_of(self._read(), self._count(), name=f"counted-{next(_numbers)}")

    async def accepted(self, store: Store, key: str) -> str:
        """Submit until it is known to be accepted; returns the job."""
        name = self.pipeline.name

        async def once() -> str:
            return (await submit(Client(store), name, idempotency_key=f"{name}-{key}")).id

        return await until_available(once, "a submission")

    async def settled(self, direct: Store, jobs: list[str]) -> None:
        """Check that everything had exactly one effect, and has it when it is submitted again."""
        assert [await self.accepted(direct, str(number)) for number in range(len(jobs))] == jobs
        states = {"pipeline": self.pipeline.name, "state": "succeeded"}
        assert await direct.db["jobs"].count_documents(states) == len(jobs)
        await direct.documents.sweep(timedelta(0))
        assert await violations(direct) == {}

    def _read(self) -> Stage:
        @stage(name="read")
        async def read(document: Document, context: StageContext) -> Text:
            async def one(part: str) -> str:
                self.ran["part"] += 1
                return part

            self.ran["read"] += 1
            await self.let_on.wait()
            parts = (await document.read()).decode().split()
            return Text(text=" ".join(await context.each(parts, one, str, unit="word")))

        return read

    def _count(self) -> Stage:
        @stage(name="count")
        async def count_words(text: Text, context: StageContext) -> Count:
            self.ran["count"] += 1
            return Count(words=len(text.text.split()))

        return count_words
