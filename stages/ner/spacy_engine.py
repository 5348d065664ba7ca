"""The `spacy` engine: any pipeline that is installed, or that `millrace train-ner` made, by its name."""

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline import PermanentError
from stages.extra import required_packages
from stages.ner.hints import Hints
from stages.ner.normal import normalize
from stages.ner.span import Span

_LABELS = {"PER": "PERSON", "GPE": "LOC", "FAC": "LOC", "LOCATION": "LOC", "ORGANIZATION": "ORG"}
"""What trained pipelines call our labels; any other label stays what it is."""
_SCORE = 0.8
"""Pipelines give no probabilities; theirs are right about so often on text unlike their own."""
_BATCH = 16
_UNLIKE_A_LABEL = re.compile(r"[^A-Z0-9]+")


class SpacyEngine:
    """The engine with one pipeline."""

    def __init__(self, pipeline: Any, hints: Hints) -> None:
        meta = pipeline.meta
        self.name = f"spacy {meta['lang']}_{meta['name']} {meta['version']}"
        self._pipeline = pipeline
        self._hints = hints

    @classmethod
    def of(cls, model: str | None, hints: Hints, *, installed_only: bool = False) -> "SpacyEngine":
        """Open the pipeline, once for each process.

        Raises:
            PermanentError: spaCy or the pipeline is not installed, or none is named.
        """
        if model is None:
            raise PermanentError(
                "the NER engine 'spacy' needs a pipeline: give `spacy_model`, the name of an installed one "
                "such as `en_core_web_sm`, or set MILLRACE_NER_SPACY_MODEL to such a name, or to a folder "
                "that `millrace train-ner` made"
            )
        return cls(_loaded(model, installed_only), hints)

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return the mentions in each text; the pipeline reads them in batches."""
        return [
            [self._span(entity) for entity in document.ents if entity.text.strip()]
            for document in self._pipeline.pipe(texts, batch_size=_BATCH)
        ]

    def _span(self, entity: Any) -> Span:
        given = _UNLIKE_A_LABEL.sub("_", entity.label_.upper())
        label = _LABELS.get(given, given)
        text: str = entity.text
        start = entity.start_char + len(text) - len(text.lstrip())
        stripped = text.strip()
        normalized = normalize(label, stripped, self._hints)
        return Span(label, start, start + len(stripped), _SCORE, normalized)


@lru_cache(maxsize=2)
def _loaded(model: str, installed_only: bool) -> Any:
    with required_packages("NER", "spacy"):
        import spacy
    try:
        if installed_only and not _is_installed(model):
            raise OSError("no package of a pipeline has this name")
        pipeline = spacy.load(model)
    except (OSError, ValueError) as error:
        first_line = str(error).partition("\n")[0]
        raise PermanentError(
            f"the spaCy pipeline {model!r} can't be opened on this worker: install its package, or name its "
            f"folder in MILLRACE_NER_SPACY_MODEL ({first_line})"
        ) from error
    if not {"ner", "entity_ruler", "span_ruler"} & set(pipeline.pipe_names):
        raise PermanentError(
            f"the spaCy pipeline {model!r} finds no entities: among its parts "
            f"({', '.join(pipeline.pipe_names)}) is neither `ner` nor a ruler"
        )
    return pipeline


def _is_installed(name: str) -> bool:
    """Return whether a package of this name holds a pipeline. Nothing is imported: a job gave the name."""
    spec = find_spec(name) if "." not in name else None
    return spec is not None and spec.origin is not None and (Path(spec.origin).parent / "meta.json").is_file()
