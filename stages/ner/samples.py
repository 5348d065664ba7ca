"""Labelled texts to train on: JSONL with offsets, or CoNLL with a tag for each token."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from pipeline import PermanentError


class SampleEntity(BaseModel):
    """A mention; offsets in the text, half open."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=1)]
    label: Annotated[str, Field(min_length=1)]


class Sample(BaseModel):
    """A text and all of its mentions, none of which overlap."""

    text: str
    entities: list[SampleEntity]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        last = 0
        for each in sorted(self.entities, key=lambda entity: entity.start):
            if each.end > len(self.text) or each.start >= each.end:
                raise ValueError(f"{each.label} at {each.start}-{each.end} does not fit the text")
            if each.start < last:
                raise ValueError(f"{each.label} at {each.start}-{each.end} overlaps the one before it")
            last = each.end
        return self


def read(path: Path) -> list[Sample]:
    """Return the samples of a file: `.jsonl`, or else CoNLL.

    A line of JSONL is `{"text": …, "entities": [{"start": 0, "end": 4, "label": "PERSON"}]}`. CoNLL has a
    token in a line's first column, a tag such as B-PERSON, I-PERSON or O in its last, and an empty line
    between sentences.

    Raises:
        PermanentError: the file can't be read, or a line is wrong; the message says which.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"{path} can't be read: {error}") from error
    samples = list(_jsonl(path, text) if path.suffix == ".jsonl" else _conll(path, text))
    if not any(sample.entities for sample in samples):
        raise PermanentError(f"{path} has no entities to learn from")
    return samples


def _jsonl(path: Path, text: str) -> Iterator[Sample]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield Sample.model_validate(json.loads(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise PermanentError(f"{path}, line {number}: {where} {first['msg']}") from error
        except ValueError as error:
            raise PermanentError(f"{path}, line {number}: {error}") from error


def _conll(path: Path, text: str) -> Iterator[Sample]:
    tokens: list[tuple[str, str]] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        columns = line.split()
        if line.startswith("-DOCSTART-") or not columns:
            if tokens:
                yield _sentence(tokens)
            tokens = []
            continue
        if len(columns) < 2 or not (columns[-1] == "O" or columns[-1][1:2] == "-"):
            raise PermanentError(f"{path}, line {number}: give a token and a tag such as B-PERSON or O")
        tokens.append((columns[0], columns[-1]))


def _sentence(tokens: list[tuple[str, str]]) -> Sample:
    """Join the tokens by spaces; I-, M-, E- and L- tags go on with a mention of their label before them."""
    entities: list[SampleEntity] = []
    position, before = 0, "O"
    for token, tag in tokens:
        end = position + len(token)
        kind, _, label = tag.partition("-")
        if tag == "O":
            pass
        elif kind in "IMEL" and before == label:
            entities[-1].end = end
        else:
            entities.append(SampleEntity(start=position, end=end, label=label))
        before = "O" if tag == "O" else label
        position = end + 1
    return Sample(text=" ".join(token for token, _ in tokens), entities=entities)
