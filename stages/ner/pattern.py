"""Labels of the user's own, by regular expressions or lists of terms; without any code."""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from stages.ner.span import Span

Label = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,39}$")]
_Term = Annotated[str, Field(min_length=1, max_length=200)]
_SPACE = re.compile(r"\s+")


class Pattern(BaseModel, frozen=True, extra="forbid"):
    """A label and how its mentions look: a regular expression, or the terms themselves."""

    label: Label
    """In capitals, such as `PART_NUMBER`; one of the built-in labels when it adds to that."""
    regex: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    r"""Python's syntax, such as `\bPN-\d{6}\b`. A group named `value` is what is taken as normalised."""
    terms: Annotated[tuple[_Term, ...], Field(max_length=5000)] = ()
    """Words as they are written in the text; whole words, white space of any kind between them."""
    ignore_case: bool = False

    @field_validator("regex")
    @classmethod
    def _compiles(cls, regex: str | None) -> str | None:
        if regex is None:
            return None
        try:
            compiled = re.compile(regex)
        except re.error as error:
            raise ValueError(f"{regex!r} is no regular expression: {error}") from error
        if compiled.match(""):
            raise ValueError(f"{regex!r} matches where nothing is: let it need at least one character")
        return regex

    @field_validator("terms")
    @classmethod
    def _visible(cls, terms: tuple[str, ...]) -> tuple[str, ...]:
        if not all(term.strip() for term in terms):
            raise ValueError("a term has at least one visible character")
        return terms

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.regex is None) == (not self.terms):
            raise ValueError(f"the pattern of {self.label} takes either a `regex` or `terms`")
        return self

    def compiled(self) -> re.Pattern[str]:
        """Return what finds the mentions."""
        flags = re.IGNORECASE if self.ignore_case else 0
        if self.regex is not None:
            return re.compile(self.regex, flags | re.MULTILINE)
        longest_first = sorted(self.terms, key=len, reverse=True)
        either = "|".join(r"\s+".join(map(re.escape, term.split())) for term in longest_first)
        return re.compile(rf"(?<!\w)(?:{either})(?!\w)", flags)


class PatternFile(BaseModel, extra="forbid"):
    """A deployment's own patterns, in TOML (`[[patterns]]`) or JSON."""

    patterns: tuple[Pattern, ...]

    @classmethod
    def read(cls, path: Path) -> tuple[Pattern, ...]:
        """Return the patterns in a file, by its suffix `.toml` or `.json`.

        Raises:
            ValueError: it can't be read, or is not valid; the message says where.
        """
        try:
            text = path.read_text(encoding="utf-8")
            given = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
            return cls.model_validate(given).patterns
        except ValidationError as error:
            where = "; ".join(
                f"{'.'.join(str(step) for step in each['loc'])}: {each['msg']}" for each in error.errors()
            )
            raise ValueError(f"{path}: {where}") from error
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error


@dataclass(frozen=True, slots=True)
class Patterns:
    """The engine of these patterns."""

    patterns: tuple[Pattern, ...]
    name: str = "patterns"

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return the mentions in each text; they are fixed."""
        compiled = [(pattern.label, pattern.compiled()) for pattern in self.patterns]
        return [list(_spans(text, compiled)) for text in texts]


def _spans(text: str, patterns: Sequence[tuple[str, re.Pattern[str]]]) -> Iterator[Span]:
    for label, pattern in patterns:
        for match in pattern.finditer(text):
            value = match.groupdict().get("value") or match[0]
            yield Span(label, match.start(), match.end(), 1.0, _SPACE.sub(" ", value.strip()), fixed=True)
