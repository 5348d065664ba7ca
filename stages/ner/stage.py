"""The stage: from a document's text to the entities that it names."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from pipeline import Cost, PermanentError, StageContext, stage
from stages.endpoint.settings import LlmSettings
from stages.ner import engine, hints, location, part
from stages.ner.engine import Found, OpenedKind, Options
from stages.ner.groups import group
from stages.ner.hints import Given, Hints
from stages.ner.merge import merge
from stages.ner.params import NerParams
from stages.ner.part import Part
from stages.ner.repeats import complete
from stages.ner.settings import NerSettings
from stages.ner.span import Span
from stages.outputs import EntityGroup, NerOutput, OcrOutput

if TYPE_CHECKING:
    from stages.ner.llm_engine import Asked

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
_PART_TIME = timedelta(minutes=5)
"""For one call of an engine; the rules take tens of milliseconds for a page."""
_BATCH = 20_000
"""Characters that a model reads in one call: some ten pages, a second or a few."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What is left of the findings when they were put together."""

    spans: list[Span]
    groups: list[EntityGroup]


async def find(text: OcrOutput, context: StageContext, params: NerParams) -> NerOutput:
    """Find what a document names: who, where, when, how much, and how to reach, pay or quote them.

    The rules read page by page, models several pages at a time, an LLM by chunks of tokens; each call is a
    checkpoint, so a name that goes over the end of a page is not found there. Then findings are merged,
    what was found in one place is looked for in all others, and mentions of one thing are grouped. A
    document without text has no entities.

    Raises:
        PermanentError: pages that don't fit their text, a setting that cannot be, an engine that is
            not installed; the message says what to do.
        Unavailable, PartError: see `llm_engine.search`.
    """
    location.check(text)
    kinds, options, asks = _chosen(params)
    given = Given(params.default_region, params.date_order, params.locale or NerSettings.read().locale)
    read = await _run(context, hints.read, text.text[: hints.READ], given)
    options = replace(options, hints=read)
    found = [each for kind in kinds for each in await _search(text, context, kind, options)]
    asked = await _ask(text, context, params, read) if asks else None
    if asked is not None:
        found.append(asked.found)
    spans = [span for each in found for spans in each.spans for span in spans]
    settled = await _run(context, settle, text.text, spans, params.labels)
    engines = dict.fromkeys(each.engine for each in found)
    return NerOutput(
        entities=list(location.entities(text, settled.spans)),
        engine=" + ".join(engines),
        groups=settled.groups,
        missing=asked.missing if asked else 0,
        usage=asked.usage if asked else None,
    )


def settle(text: str, spans: list[Span], labels: list[str] | None) -> Settled:
    """Merge what the engines found, complete it by further mentions, keep these labels, and group."""
    every = complete(text, merge(spans))
    wanted = [span for span in every if labels is None or span.label in labels]
    return Settled(wanted, group(wanted, text))


async def _search(text: OcrOutput, context: StageContext, kind: OpenedKind, options: Options) -> list[Found]:
    parts = part.split(text.pages)
    unit = "page" if len(parts) == len(text.pages) else "part"
    by_page = kind in ("rules", "patterns", "probablepeople")
    batches = [[each] for each in parts] if by_page else part.batches(parts, _BATCH)

    async def search(batch: list[Part]) -> Found:
        found = await _run(context, engine.find, kind, [each.text for each in batch], options)
        moved = [
            [span.moved(each.start) for span in spans] for each, spans in zip(batch, found.spans, strict=True)
        ]
        return Found(found.engine, moved)

    # Each engine counts by itself, and under its own name: what is saved for one is never another's.
    unit = unit if kind == "rules" else f"{kind} {unit if by_page else 'batch'}"
    if not batches:
        return [await search([])]
    return await context.each(batches, search, Found, unit=unit)


async def _ask(text: OcrOutput, context: StageContext, params: NerParams, read: Hints) -> "Asked":
    # Imported here: child processes, and workers that ask no endpoint, need no client.
    from stages.ner.llm_engine import search

    return await search(text, context, params, read)


def _chosen(params: NerParams) -> tuple[list[OpenedKind], Options, bool]:
    """Return the engines of a job and what they need, by its params, else by the operator's settings.

    Last, whether an LLM is asked besides.
    """
    settings = NerSettings.read()
    try:
        patterns = (*params.patterns, *settings.own_patterns())
    except ValueError as error:
        raise PermanentError(f"correct MILLRACE_NER_PATTERNS: {error}") from error
    chosen = dict.fromkeys(params.engines or settings.engines)
    kinds: list[OpenedKind] = [each for each in chosen if each != "llm"]
    if patterns:
        kinds.append("patterns")
    options = Options(
        patterns=patterns,
        spacy_model=params.spacy_model or settings.spacy_model,
        spacy_installed_only=params.spacy_model is not None,
        gliner_model=settings.gliner_model,
        gliner_labels=params.gliner_labels,
        gliner_threshold=params.gliner_threshold,
    )
    return kinds, options, "llm" in chosen


async def _run(context: StageContext, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Call the function in a child process, as patterns can take long over a text that was made for it."""
    return await context.run_process(function, *arguments, timeout=_PART_TIME)


# Tokens are only used by the `llm` engine, which says afterwards how many.
ner = stage(
    name="ner",
    version=3,
    cost=Cost("tokens", reserve=0),
    engine=NerSettings.engine,
    tariff=lambda: LlmSettings.tariff("llm_model"),
)(find)
