"""Labelled documents and their scores."""

from pathlib import Path

import pytest

import quality
from quality.labelled import SETS, documents, found, measures, parse
from stages.ner.span import LABELS
from stages.outputs import Entity


def entity(label: str, text: str, start: int) -> Entity:
    return Entity(label=label, text=text, start=start, end=start + len(text), page=1, score=1, engine="x")


def test_marks_are_taken_out_and_counted() -> None:
    document = parse("a", "Dear [[PERSON|Ann\nLee]], [[PERSON|Ann Lee]] of [[LOC|York]]")
    assert document.text == "Dear Ann\nLee, Ann Lee of York"
    assert document.mentions == {("PERSON", "Ann Lee", 0), ("PERSON", "Ann Lee", 1), ("LOC", "York", 0)}


def test_places_inside_addresses_do_not_count() -> None:
    entities = [entity("ADDRESS", "1 Row, York", 5), entity("LOC", "York", 12), entity("LOC", "York", 40)]
    assert found(entities) == {("ADDRESS", "1 Row, York", 0), ("LOC", "York", 0)}


def test_scores() -> None:
    truth = {("a", ("LOC", name, 0)) for name in ("York", "Rome", "Oslo")}
    given = {("a", ("LOC", name, 0)) for name in ("York", "Bonn")}
    assert measures(truth, given) == {"precision": 0.5, "recall": pytest.approx(1 / 3), "f1": 0.4}
    assert measures(set(), set()) == {"precision": 1, "recall": 1, "f1": 1}


@pytest.mark.parametrize("folder", SETS)
def test_a_set_has_documents_of_every_label(folder: str) -> None:
    labels = {label for document in documents(folder) for label, _, _ in document.mentions}
    assert labels == LABELS
    assert not any("[[" in document.text or "]]" in document.text for document in documents(folder))


def test_every_folder_of_labelled_documents_is_measured() -> None:
    root = Path(quality.__file__).parent
    assert {path.parent.name for path in root.glob("*/*.txt")} == set(SETS)
