"""The `gliner` engine: labels given in words per job, found by a GLiNER model that the operator has."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from pipeline import PermanentError
from stages.extra import required_packages
from stages.ner.hints import Hints
from stages.ner.label_words import label_of
from stages.ner.normal import normalize
from stages.ner.span import Span

USUAL = ("person", "organization", "location", "date")
"""What is looked for when a job names nothing."""
_BATCH = 8
_LONGEST = 1000
"""Characters of a passage: models read a few hundred words at a time, and leave out the rest."""
_END = re.compile(r"\n\s*\n|(?<=[.!?;:])\s|\n|\s")


class GlinerEngine:
    """The engine with one model and a job's labels."""

    def __init__(self, model: Any, name: str, labels: Sequence[str], threshold: float, hints: Hints) -> None:
        self.name = name
        self._model = model
        self._labels = list(labels) or list(USUAL)
        self._threshold = threshold
        self._hints = hints

    @classmethod
    def of(cls, model: str | None, labels: Sequence[str], threshold: float, hints: Hints) -> "GlinerEngine":
        """Open the model, once for each process. Nothing is downloaded.

        Raises:
            PermanentError: GLiNER or the model is not there, or none is named.
        """
        if model is None:
            raise PermanentError(
                "the NER engine 'gliner' needs MILLRACE_NER_GLINER_MODEL, the folder of a model"
            )
        opened = _loaded(model)
        return cls(opened, f"gliner {version('gliner')}", labels, threshold, hints)

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return the mentions in each text, which is read passage by passage."""
        passages = [
            (index, start, part) for index, text in enumerate(texts) for start, part in _passages(text)
        ]
        found: list[list[Span]] = [[] for _ in texts]
        if not passages:
            return found
        read = self._model.inference(
            [part for _, _, part in passages], self._labels, batch_size=_BATCH, threshold=self._threshold
        )
        for (index, start, _), entities in zip(passages, read, strict=True):
            found[index].extend(self._span(entity).moved(start) for entity in entities)
        return found

    def _span(self, entity: Any) -> Span:
        label = label_of(entity["label"])
        score = min(1.0, max(0.0, float(entity["score"])))
        return Span(
            label, entity["start"], entity["end"], score, normalize(label, entity["text"], self._hints)
        )


@lru_cache(maxsize=1)
def _loaded(model: str) -> Any:
    with required_packages("NER", "gliner"):
        from gliner import GLiNER
    try:
        return GLiNER.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError) as error:
        raise PermanentError(f"the GLiNER model {model!r} can't be opened on this worker: {error}") from error


def _passages(text: str) -> Iterator[tuple[int, str]]:
    """Yield pieces with their offsets, which end where a paragraph, a sentence, a line or a word does."""
    start = 0
    while start < len(text):
        end = len(text)
        if end - start > _LONGEST:
            ends = [match.end() for match in _END.finditer(text, start + _LONGEST // 2, start + _LONGEST)]
            end = ends[-1] if ends else start + _LONGEST
        if text[start:end].strip():
            yield start, text[start:end]
        start = end
