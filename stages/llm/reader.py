"""Reads a document with a model: at once when it is short, else in chunks whose answers are merged."""

from collections.abc import Mapping, Sequence
from functools import partial as bound

from pipeline import StageContext
from stages.endpoint.client import Endpoint, Message
from stages.endpoint.cutting import SHORTEST, Plan, cut
from stages.endpoint.faults import TooLong
from stages.endpoint.passages import Chunk, halves, name_of
from stages.endpoint.purse import Purse
from stages.endpoint.questions import Questions
from stages.endpoint.reply import total_usage
from stages.endpoint.settings import LlmSettings
from stages.endpoint.tally import Tally
from stages.llm.answer import answer_schema
from stages.llm.evidence import Evidence
from stages.llm.form import Form
from stages.llm.params import LlmParams
from stages.llm.plan import around
from stages.llm.prompt import merging, reading
from stages.llm.question import Reading, read
from stages.outputs import LlmOutput, NerOutput, OcrOutput, Page


class Reader:
    """One document, one endpoint."""

    def __init__(
        self,
        context: StageContext,
        endpoint: Endpoint,
        settings: LlmSettings,
        params: LlmParams,
        form: Form | None,
        tally: Tally,
    ) -> None:
        self._context = context
        purse = Purse(context, endpoint, settings, params.budget)
        self._questions = Questions(context, purse, settings, force=params.force)
        self._settings = settings
        self._params = params
        self._form = form
        self._tally = tally

    async def read(self, text: OcrOutput, entities: NerOutput) -> LlmOutput:
        """Return what the model says, each field checked against the text.

        Every chunk's answer is a checkpoint; a merge of answers is one, too.

        Raises:
            PermanentError: more chunks than the operator allows, or see `Endpoint.complete`.
            TemporaryError: see `question.ask`; of a chunk it is the cause of a PartError.
        """
        planned = await self._context.checkpoint("plan", lambda: self._plan(text, entities), Plan)
        pages = {page.number: page for page in text.pages}
        form = self._form.partial() if self._form and len(planned.chunks) > 1 else self._form

        async def one(chunk: Chunk) -> Reading:
            return await self._chunk(chunk, pages, entities, form)

        if len(planned.chunks) == 1:
            whole = await one(planned.chunks[0])
        else:
            self._tally.several = True
            parts = await self._context.each(
                planned.chunks, one, Reading, unit="chunk", concurrency=self._settings.concurrency
            )
            whole = await self._merged(parts, planned.limit)
        return self._output(whole, Evidence(text.pages))

    async def _plan(self, text: OcrOutput, entities: NerOutput) -> Plan:
        beside = around(entities, self._params, self._form)
        return await cut(text, beside, self._questions.counter, self._settings)

    async def _chunk(
        self, chunk: Chunk, pages: Mapping[int, Page], entities: NerOutput, form: Form | None
    ) -> Reading:
        """Return the answer about a chunk, or about its halves where the endpoint says it is too long."""
        messages = reading(pages, chunk, entities.entities, self._params, form)
        try:
            return await self._ask(messages, form)
        except TooLong:
            parts = halves(chunk, pages, SHORTEST)
            if parts is None:
                raise
        partial = self._form.partial() if self._form else None
        answers = [
            await self._context.checkpoint(
                name_of(part),
                bound(self._chunk, part, pages, entities, partial),
                Reading,
            )
            for part in parts
        ]
        return await self._merge(answers)

    async def _ask(self, messages: list[Message], form: Form | None) -> Reading:
        return await self._questions.ask(messages, answer_schema(form), bound(read, form=form), Reading)

    async def _merged(self, parts: list[Reading], limit: int) -> Reading:
        """Merge answers group by group until one is left."""
        level = 0
        while len(parts) > 1:
            level += 1
            parts = await self._context.each(
                _groups(parts, limit),
                self._merge,
                Reading,
                unit=f"merge-{level}",
                concurrency=self._settings.concurrency,
            )
        return parts[0]

    async def _merge(self, parts: Sequence[Reading]) -> Reading:
        if len(parts) == 1:
            return parts[0]
        messages = merging([each.answer.told() for each in parts], self._params, self._form)
        try:
            merged = await self._ask(messages, self._form)
        except TooLong:
            if len(parts) == 2:
                raise
            middle = len(parts) // 2
            return await self._merge([await self._merge(parts[:middle]), await self._merge(parts[middle:])])
        usage = total_usage([merged.usage, *(each.usage for each in parts)])
        return merged.model_copy(update={"usage": usage})

    def _output(self, whole: Reading, evidence: Evidence) -> LlmOutput:
        answer = whole.answer
        if self._form is None:
            fields = evidence.grounded(answer.fields)
        else:
            fields = evidence.of_data(answer.data or {}, answer.fields)
        if self._params.fields:
            fields = [each for each in fields if each.name in self._params.fields]
        return LlmOutput(
            type=answer.type,
            title=" ".join(answer.title.split()),
            summary=" ".join(answer.summary.split()),
            fields=fields,
            data=answer.data,
            schema_name=self._form.name if self._form else None,
            engine="openai",
            model=whole.model or self._settings.model,
            usage=whole.usage,
        )


def _groups(parts: Sequence[Reading], limit: int) -> list[list[Reading]]:
    """Return groups of answers of about `limit` characters, two at least, but for a last one."""
    groups: list[list[Reading]] = []
    size = 0
    for part in parts:
        length = len(part.answer.told())
        if not groups or (size + length > limit and len(groups[-1]) > 1):
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += length
    return groups
