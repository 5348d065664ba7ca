"""The operator's settings of the NER stage, from `MILLRACE_NER_…` variables."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from pipeline import PermanentError
from stages.endpoint.settings import LlmSettings
from stages.ner.engine import Kind
from stages.ner.locale import Locale
from stages.ner.pattern import Pattern, PatternFile
from stages.settings import StageSettings

PREFIX = "MILLRACE_NER_"


class NerSettings(StageSettings):
    """What a job gets that says nothing else."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    engines: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("rules",)
    """Engines whose findings are merged, as a JSON list: `rules`, `probablepeople`, `spacy`, `gliner`,
    `llm`, which asks the endpoint of MILLRACE_LLM_BASE_URL.
    Default the rules alone: they need no model, and structured fields are theirs in any case."""

    spacy_model: str | None = None
    """The pipeline of the `spacy` engine: the name of an installed package, or a folder, such as one
    that `millrace train-ner` made. A job may name another installed one, but no folder."""

    gliner_model: str | None = None
    """The model of the `gliner` engine: a folder, or a name in the local cache. Nothing is downloaded."""

    patterns: Path | None = None
    """A TOML or JSON file of patterns that hold for every job."""

    locale: Locale | None = None
    """BCP 47 tag with a region, such as `de-AT`: how to read dates and phone numbers that the document
    itself leaves open."""

    def own_patterns(self) -> tuple[Pattern, ...]:
        """Return the patterns of the deployment.

        Raises:
            ValueError: the file can't be read; the message says why and where.
        """
        return () if self.patterns is None else PatternFile.read(self.patterns)

    @classmethod
    def engine(cls, params: Mapping[str, Any]) -> str:
        """Return what findings depend on beside a job's params: the engines, and all else as a hash.

        Raises:
            PermanentError: a variable has a value that cannot be, or the file of patterns can't be read.
        """
        settings = cls.read()
        asked = "llm" in (params.get("engines") or settings.engines)
        try:
            patterns = settings.own_patterns()
        except ValueError as error:
            raise PermanentError(f"correct {PREFIX}PATTERNS: {error}") from error
        rest: tuple[object, ...] = (settings.spacy_model, settings.gliner_model, settings.locale, patterns)
        if asked:
            rest = (*rest, LlmSettings.engine(params.get("llm_model")))
        digest = hashlib.sha256(repr(rest).encode()).hexdigest()
        return f"{'+'.join(settings.engines)} {digest[:8]}"
