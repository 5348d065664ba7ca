"""The `llm` engine: mentions that a model names, each found again in the text.

It waits for the endpoint in the worker's own process, and asks as the LLM stage does: in chunks sized by
tokens, each a checkpoint; within budgets; nothing twice, across jobs too. What it was told is looked for in a
child process.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import PermanentError, StageContext
from stages.endpoint.client import open_endpoint
from stages.endpoint.completion import Completion
from stages.endpoint.cutting import SHORTEST, Plan, cut
from stages.endpoint.faults import TooLong
from stages.endpoint.fence import fenced
from stages.endpoint.passages import Chunk, halves, name_of
from stages.endpoint.passages import Span as Passage
from stages.endpoint.purse import Purse
from stages.endpoint.questions import Questions
from stages.endpoint.reply import Reply, Unusable, json_object, total_usage
from stages.endpoint.settings import LlmSettings
from stages.endpoint.tally import Tally
from stages.ner.engine import Found
from stages.ner.hints import Hints
from stages.ner.label_words import described, schema_of, task_of
from stages.ner.params import NerParams
from stages.ner.part import Part
from stages.ner.quotes import located
from stages.ner.span import Span
from stages.outputs import OcrOutput, Page, Usage

_LOCATING_TIME = timedelta(minutes=1)
"""For the wordings of one answer; usually some milliseconds."""


class Mention(BaseModel):
    """A wording as the model gave it, not yet found in the text."""

    model_config = ConfigDict(extra="ignore")

    label: str
    text: Annotated[str, Field(min_length=1)]


class Mentions(Reply):
    """All wordings in a chunk."""

    mentions: list[Mention]


class CutOff(PermanentError):
    """The answer reached the limit of tokens: one about less text may not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model found in a text, or a part of it."""

    model: str | None
    spans: list[Span]
    missing: int
    """Wordings that the text doesn't have: they are left out."""
    usage: Usage

    @property
    def found(self) -> Found:
        """The mentions as those of other engines."""
        name = f"llm {self.model}"
        return Found(name, [[replace(each, engines=(name,)) for each in self.spans]])


async def search(text: OcrOutput, context: StageContext, params: NerParams, hints: Hints) -> Asked:
    """Ask the endpoint of `MILLRACE_LLM_BASE_URL` what the document names. One without text is not sent.

    Raises:
        PermanentError: no endpoint is set, more chunks than the operator allows, or see `Endpoint.complete`.
        Unavailable: the endpoint is away; no attempt is charged.
        PartError: one of these, or a TemporaryError, as its cause, in one chunk.
    """
    settings = LlmSettings.read()
    if settings.base_url is None or settings.model is None:
        raise PermanentError(
            "the NER engine 'llm' asks an OpenAI-compatible endpoint: set MILLRACE_LLM_BASE_URL and "
            "MILLRACE_LLM_MODEL on the workers, or choose other engines"
        )
    settings = settings.of_model(params.llm_model)
    if not text.text.strip():
        return Asked(settings.model, [], 0, Usage())
    tally = Tally(context)
    tally.several = True
    async with open_endpoint(settings, tally.heard, context) as endpoint:
        purse = Purse(context, endpoint, settings, params.llm_budget)
        questions = Questions(context, purse, settings, force=params.llm_force)
        return await _Search(context, questions, settings, params, text, hints).run()


class _Search:
    """One document, one endpoint."""

    def __init__(
        self,
        context: StageContext,
        questions: Questions,
        settings: LlmSettings,
        params: NerParams,
        text: OcrOutput,
        hints: Hints,
    ) -> None:
        self._context = context
        self._questions = questions
        self._settings = settings
        self._text = text
        self._pages: Mapping[int, Page] = {page.number: page for page in text.pages}
        self._hints = hints
        labels = described(params.llm_labels)
        self._labels = frozenset(labels)
        self._task = task_of(labels)
        self._schema = schema_of(labels)

    async def run(self) -> Asked:
        plan = await self._context.checkpoint("llm plan", self._plan, Plan)
        parts = await self._context.each(
            plan.chunks, self._chunk, Asked, unit="llm chunk", concurrency=self._settings.concurrency
        )
        return _joined(parts, self._settings.model)

    async def _plan(self) -> Plan:
        around = [self._task, json.dumps(self._schema)]
        return await cut(self._text, around, self._questions.counter, self._settings)

    async def _chunk(self, chunk: Chunk) -> Asked:
        """Return what is named in a chunk; where it or its answer is too long, in its halves."""
        parts = [self._part(span) for span in chunk]
        messages = fenced(self._task, "text from a document", "\n\n".join(part.text for part in parts))
        try:
            named = await self._questions.ask(messages, self._schema, self._read, Mentions)
        except (TooLong, CutOff):
            both = halves(chunk, self._pages, SHORTEST)
            if both is None:
                raise
        else:
            return await self._found(named, parts)
        return _joined(
            [
                await self._context.checkpoint(f"llm {name_of(half)}", partial(self._chunk, half), Asked)
                for half in both
            ],
            self._settings.model,
        )

    def _part(self, span: Passage) -> Part:
        page = self._pages[span.page]
        return Part(page.start + span.start, page.text[span.start : span.end])

    def _read(self, completion: Completion) -> Mentions:
        if completion.cut_off:
            raise CutOff(
                "the model's answer about a short text does not end within MILLRACE_LLM_MAX_TOKENS="
                f"{self._settings.max_tokens}: raise it, ask for fewer labels, or use another model"
            )
        try:
            told: dict[str, Any] = {"model": completion.model, "usage": completion.usage}
            return Mentions.model_validate(json_object(completion.text) | told)
        except ValidationError as error:
            raise Unusable.of(error) from None

    async def _found(self, named: Mentions, parts: list[Part]) -> Asked:
        """Find every wording in the chunk's text, by its place in the whole one."""
        wordings = list(dict.fromkeys((each.label, each.text) for each in named.mentions))
        asked = [each for each in wordings if each[0] in self._labels]
        found = await self._context.run_process(located, asked, parts, self._hints, timeout=_LOCATING_TIME)
        return Asked(named.model, found.spans, found.missing + len(wordings) - len(asked), named.usage)


def _joined(parts: list[Asked], model: str | None) -> Asked:
    told = [each.model for each in parts if each.model is not None]
    return Asked(
        told[0] if told else model,
        [span for each in parts for span in each.spans],
        sum(each.missing for each in parts),
        total_usage([each.usage for each in parts]),
    )
