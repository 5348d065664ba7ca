"""What a submitter may set."""

from typing import Literal

from phonenumbers import SUPPORTED_REGIONS
from pydantic import BaseModel, field_validator

from stages.ner.span import LABELS


class NerParams(BaseModel, extra="forbid"):
    """Which entities to find and how to read what is ambiguous."""

    labels: list[str] | None = None
    """The labels to keep, such as `["IBAN", "MONEY"]`; all of them when not given."""
    default_region: str | None = None
    """ISO 3166 code, such as `DE`, of phone numbers without an international prefix. When not given,
    the document's own IBANs, VAT ids, international numbers, postcodes and places suggest it."""
    date_order: Literal["dmy", "mdy", "auto"] = "auto"
    """How to read 03/04/2026. `auto`: as the document's unambiguous dates; month first where it is
    from the United States by all other signs; day first otherwise. Full stops always part day first."""

    @field_validator("labels")
    @classmethod
    def _known_labels(cls, labels: list[str] | None) -> list[str] | None:
        unknown = sorted(set(labels or ()) - LABELS)
        if unknown:
            raise ValueError(f"no such labels: {', '.join(unknown)}; use some of {', '.join(sorted(LABELS))}")
        return labels

    @field_validator("default_region")
    @classmethod
    def _known_region(cls, region: str | None) -> str | None:
        if region is not None and region not in SUPPORTED_REGIONS:
            raise ValueError(f"no phone region {region!r}: use a two-letter code such as DE, GB or US")
        return region
