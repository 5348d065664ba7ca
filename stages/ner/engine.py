"""What every engine is: texts in, mentions out; and which there are.

An engine is opened once in each child process, and kept with its model for the calls that follow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, Protocol

from stages.ner.hints import Hints
from stages.ner.pattern import Pattern
from stages.ner.span import Span

Kind = Literal["rules", "probablepeople", "spacy", "gliner", "llm"]
OpenedKind = Literal["rules", "probablepeople", "spacy", "gliner", "patterns"]
"""Those that run in child processes; `llm` asks an endpoint, see `llm_engine`."""


class Engine(Protocol):
    """Finds what texts name."""

    @property
    def name(self) -> str:
        """What found a mention, with its version, such as `rules 1`."""
        ...

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return the mentions in each text, by their place there. No two of a text need to be apart."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What the engines of one job need to know. Hashable."""

    hints: Hints = field(default_factory=Hints)
    patterns: tuple[Pattern, ...] = ()
    spacy_model: str | None = None
    """Name of an installed pipeline, or a folder that the operator named."""
    spacy_installed_only: bool = False
    """A job named it, and may name no folder."""
    gliner_model: str | None = None
    gliner_labels: tuple[str, ...] = ()
    gliner_threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """What an engine found in some texts."""

    engine: str
    spans: list[list[Span]]
    """By text, in order."""


def find(kind: OpenedKind, texts: list[str], options: Options) -> Found:
    """Return what an engine finds in the texts. Runs in a child process.

    Raises:
        PermanentError: its packages or its model are not installed, or a setting is missing.
    """
    engine = _opened(kind, options)
    spans = [
        [replace(span, engines=(engine.name,)) for span in found if span.start < span.end]
        for found in engine.find(texts)
    ]
    return Found(engine.name, spans)


# An engine is small: what it loads, its module keeps for every job.
@lru_cache(maxsize=64)
def _opened(kind: OpenedKind, options: Options) -> Engine:
    # Imported here: each has packages of its own, which take time and memory.
    match kind:
        case "rules":
            from stages.ner.rules import Rules

            return Rules(options.hints)
        case "patterns":
            from stages.ner.pattern import Patterns

            return Patterns(options.patterns)
        case "probablepeople":
            from stages.ner.people import People

            return People()
        case "spacy":
            from stages.ner.spacy_engine import SpacyEngine

            return SpacyEngine.of(
                options.spacy_model, options.hints, installed_only=options.spacy_installed_only
            )
        case "gliner":
            from stages.ner.gliner_engine import GlinerEngine

            return GlinerEngine.of(
                options.gliner_model, options.gliner_labels, options.gliner_threshold, options.hints
            )
