"""The NER part: precision, recall and F1 over each set of labelled documents, by engine."""

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import NamedTemporaryFile

from pipeline import run_stage
from quality.labelled import NAMES, SETS, Labelled, Mention, documents, found, measures
from quality.score import Floor, Score
from stages.ner import NerParams, ner
from stages.outputs import NerOutput, OcrOutput, Page

_STRUCTURED, _NAMES = Floor("f1", 0.95, "at least"), Floor("f1", 0.80, "at least")
_ENGINES = ({"engines": ("rules",)}, {"engines": ("rules", "probablepeople")})
_SHOWN = 6
"""Mistakes that the note of a row names."""

Mentions = set[tuple[str, Mention]]


async def measure() -> AsyncIterator[Score]:
    """Yield the scores of structured fields, names and each label, by set of documents and engines."""
    for folder in SETS:
        for engines in _ENGINES:
            for score in await _scores(folder, NerParams.model_validate(engines)):
                yield score


async def _scores(folder: str, params: NerParams) -> list[Score]:
    truth: Mentions = set()
    given: Mentions = set()
    engine = ""
    for document in documents(folder):
        output = await _read(document, params)
        engine = output.engine
        truth |= {(document.name, mention) for mention in document.mentions}
        given |= {(document.name, mention) for mention in found(output.entities)}
    with_models = len(params.engines or ()) > 1
    labels = sorted({label for _, (label, _, _) in truth | given})
    rows = {
        "structured": (set(labels) - NAMES, _STRUCTURED),
        "names": (set(labels) & NAMES, _NAMES if with_models else None),
        **{label: ({label}, None) for label in labels},
    }
    return [
        _score(f"{folder}, {sample}", engine, _only(truth, wanted), _only(given, wanted), floor)
        for sample, (wanted, floor) in rows.items()
    ]


def _only(mentions: Mentions, labels: set[str]) -> Mentions:
    return {each for each in mentions if each[1][0] in labels}


def _score(sample: str, engine: str, truth: Mentions, given: Mentions, floor: Floor | None) -> Score:
    missed = [f"-{text}" for _, (_, text, _) in sorted(truth - given)]
    wrong = [f"+{text}" for _, (_, text, _) in sorted(given - truth)]
    note = "; ".join([*missed[:_SHOWN], *wrong[:_SHOWN]]) if floor is None else f"{len(truth)} mentions"
    return Score(sample, engine, measures(truth, given), floor, note)


async def _read(document: Labelled, params: NerParams) -> NerOutput:
    page = Page(number=1, text=document.text, method="text")
    text = OcrOutput(text=document.text, pages=[page], engine="text")
    with NamedTemporaryFile(suffix=".txt") as file:
        output = await run_stage(ner, Path(file.name), earlier=[text], params=params, processes=1)
    if not isinstance(output, NerOutput):
        raise TypeError("the NER stage gives a NerOutput")
    return output
