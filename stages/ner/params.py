"""What a submitter may set."""

from typing import Annotated, Literal, Self

from phonenumbers import SUPPORTED_REGIONS
from pydantic import BaseModel, Field, field_validator, model_validator

from stages.endpoint.job_budget import JobBudget
from stages.ner.engine import Kind
from stages.ner.locale import Locale
from stages.ner.pattern import Label, Pattern
from stages.ner.settings import NerSettings
from stages.ner.span import LABELS

_InWords = Annotated[str, Field(min_length=1, max_length=80)]
_OF_FIXED_LABELS = frozenset(["rules", "probablepeople"])


class NerParams(BaseModel, extra="forbid"):
    """Which entities to find, by which engines, and how to read what is ambiguous."""

    engines: Annotated[tuple[Kind, ...], Field(min_length=1)] | None = None
    """Engines whose findings are merged, such as `["rules", "spacy"]`; those of MILLRACE_NER_ENGINES when
    not given. `rules` alone knows the form of structured fields; the others know more names."""
    labels: list[Label] | None = None
    """The labels to keep, such as `["IBAN", "MONEY"]`; all of them when not given."""
    patterns: Annotated[tuple[Pattern, ...], Field(max_length=200)] = ()
    r"""Labels of your own: `[{"label": "PART_NUMBER", "regex": "\\bPN-\\d{6}\\b"}, {"label": "PRODUCT",
    "terms": ["Flow Meter 200"]}]`. What they find stays, whatever else overlaps it."""
    spacy_model: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")] | None = None
    """Name of an installed pipeline, such as `en_core_web_sm`; MILLRACE_NER_SPACY_MODEL when not given."""
    gliner_labels: Annotated[tuple[_InWords, ...], Field(max_length=60)] = ()
    """Labels in words for the `gliner` engine, such as `["product name"]`, which is found as PRODUCT_NAME.
    When none is given: person, organization, location, date."""
    gliner_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """The least score of what `gliner` finds. 0.5, as its authors advise."""
    llm_labels: Annotated[tuple[_InWords, ...], Field(max_length=60)] = ()
    """Labels in words for the `llm` engine, such as `["person", "product name"]`, which is found as
    PRODUCT_NAME. When none is given: all that the rules know."""
    llm_model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The model of the `llm` engine, one of MILLRACE_LLM_MODELS; MILLRACE_LLM_MODEL when not given."""
    llm_force: bool = False
    """Ask the endpoint also what was asked before; the new answers are remembered."""
    llm_budget: JobBudget | None = None
    """What all requests of this job may use, those of later stages too: `{"cost": 0.5, "tokens": 100000}`,
    one or both. When not given: as much as MILLRACE_LLM_JOB_COST and _JOB_TOKENS allow."""
    locale: Locale | None = None
    """BCP 47 tag with a region, such as `de-AT`: how to read dates and phone numbers that the document
    itself leaves open; MILLRACE_NER_LOCALE when not given."""
    default_region: str | None = None
    """ISO 3166 code, such as `DE`, of phone numbers without an international prefix. When not given,
    the locale's, or the document's own IBANs, VAT ids, international numbers, postcodes and places
    suggest it."""
    date_order: Literal["dmy", "mdy", "auto"] = "auto"
    """How to read 03/04/2026. `auto`: as the document's unambiguous dates; else as the locale does, and
    without one month first where the document is from the United States by all other signs; day first
    otherwise. Full stops always part day first."""

    @field_validator("default_region")
    @classmethod
    def _known_region(cls, region: str | None) -> str | None:
        if region is not None and region not in SUPPORTED_REGIONS:
            raise ValueError(f"no phone region {region!r}: use a two-letter code such as DE, GB or US")
        return region

    @model_validator(mode="after")
    def _known_labels(self) -> Self:
        """Refuse labels that nothing can find; a model may have any."""
        unknown = set(self.labels or ()) - LABELS - {pattern.label for pattern in self.patterns}
        if not unknown:
            return self
        settings = NerSettings.read()
        if set(self.engines or settings.engines) <= _OF_FIXED_LABELS:
            known = LABELS | {pattern.label for pattern in (*self.patterns, *settings.own_patterns())}
            unknown -= known
            if unknown:
                raise ValueError(
                    f"no such labels: {', '.join(sorted(unknown))}; use some of {', '.join(sorted(known))}, "
                    "or give `patterns` for your own"
                )
        return self
