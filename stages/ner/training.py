"""Trains a small spaCy pipeline for entities, on the processor, without downloads."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline import PermanentError
from stages.extra import required_packages
from stages.ner.samples import Sample

_HELD_OUT = 0.2
"""Share of the samples that the scores come from, when no file of their own is given."""
_PATIENCE = 8
"""Rounds without a better score after which training ends."""
_DROP, _BATCH = 0.2, 8


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train."""

    language: str = "xx"
    """spaCy's code of the tokeniser's language; `xx` for several."""
    rounds: int = 40
    """At most; fewer when nothing gets better."""
    seed: int = 0
    name: str = "trained"


class LabelScore(BaseModel):
    """Shares of 1 over the held-out samples."""

    precision: float
    recall: float
    f1: float


class Report(BaseModel):
    """What came out."""

    trained_on: int
    """Samples."""
    scored_on: int
    misaligned: int
    """Mentions that were left out, as they begin or end inside a token."""
    rounds: int
    """Until the best score."""
    total: LabelScore
    labels: dict[str, LabelScore]


def train(
    samples: Sequence[Sample],
    held_out: Sequence[Sample] | None,
    output: Path,
    plan: Plan,
    told: Callable[[int, float], None],
) -> Report:
    """Train a pipeline, write the best state of it into the folder `output`, and report its scores.

    `told` is called after each round with its number and the F1 on the held-out samples. Without
    samples for that, every fifth of `samples` is held out.

    Raises:
        PermanentError: spaCy is not installed, doesn't know the language, or there are too few samples.
    """
    with required_packages("NER", "spacy"):
        import spacy
        from thinc.api import fix_random_seed
    fix_random_seed(plan.seed)
    order = random.Random(plan.seed)  # noqa: S311 -- the order of samples is no secret
    learnt, scored = _parted(samples, held_out, order)
    try:
        pipeline = spacy.blank(plan.language, meta={"name": plan.name, "version": "1.0.0"})
    except ImportError as error:
        raise PermanentError(
            f"spaCy knows no language {plan.language!r}: use a code such as en or xx"
        ) from error
    pipeline.add_pipe("ner")
    examples, misaligned = _examples(pipeline, learnt)
    tests, _ = _examples(pipeline, scored)
    optimizer = pipeline.initialize(lambda: examples)
    best: Report | None = None
    for number in range(1, plan.rounds + 1):
        order.shuffle(examples)
        for start in range(0, len(examples), _BATCH):
            pipeline.update(examples[start : start + _BATCH], sgd=optimizer, drop=_DROP)
        report = _report(pipeline.evaluate(tests), len(examples), len(tests), misaligned, number)
        told(number, report.total.f1)
        if best is None or report.total.f1 > best.total.f1:
            best = report
            pipeline.to_disk(output)
            (output / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if number - best.rounds >= _PATIENCE:
            break
    if best is None:
        raise PermanentError("give at least one round")
    return best


def _parted(
    samples: Sequence[Sample], held_out: Sequence[Sample] | None, order: random.Random
) -> tuple[list[Sample], list[Sample]]:
    if held_out is not None:
        return list(samples), list(held_out)
    shuffled = list(samples)
    order.shuffle(shuffled)
    count = round(len(shuffled) * _HELD_OUT)
    if count == 0:
        raise PermanentError(
            f"{len(samples)} samples are too few to hold some out: give more, or a file with --dev"
        )
    return shuffled[count:], shuffled[:count]


def _examples(pipeline: Any, samples: Sequence[Sample]) -> tuple[list[Any], int]:
    """Return the samples as spaCy takes them, and how many mentions fit no tokens."""
    from spacy.training import Example

    examples, misaligned = [], 0
    for sample in samples:
        document = pipeline.make_doc(sample.text)
        spans = [document.char_span(each.start, each.end, label=each.label) for each in sample.entities]
        fitting = [span for span in spans if span is not None]
        misaligned += len(spans) - len(fitting)
        reference = document.copy()
        reference.set_ents(fitting)
        examples.append(Example(document, reference))
    return examples, misaligned


def _report(scores: dict[str, Any], trained: int, scored: int, misaligned: int, rounds: int) -> Report:
    labels = {
        label: LabelScore(precision=each["p"], recall=each["r"], f1=each["f"])
        for label, each in sorted((scores["ents_per_type"] or {}).items())
    }
    total = LabelScore(
        precision=scores["ents_p"] or 0, recall=scores["ents_r"] or 0, f1=scores["ents_f"] or 0
    )
    return Report(
        trained_on=trained,
        scored_on=scored,
        misaligned=misaligned,
        rounds=rounds,
        total=total,
        labels=labels,
    )
