"""`millrace train-ner`: labelled texts in, a pipeline that the `spacy` engine runs out, with its scores."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from pipeline import PermanentError
from stages.ner import engine
from stages.ner.engine import Options
from stages.ner.samples import read

NAMES = ("Zoltan", "Ludmila", "Kwame", "Ingrid", "Pedro")
CONLL = (
    "-DOCSTART- -X- O\n\nZoltan NNP B-PERSON\nZebra NNP I-PERSON\nmet VB O\nAcme NNP B-ORG\nAlba NNP B-ORG\n"
    "\nNo DT O\n"
)


def sample(name: str, number: int) -> dict[str, object]:
    text = f"Order {number} was signed by {name} Zebra for the buyer."
    start = text.index(name)
    return {"text": text, "entities": [{"start": start, "end": start + len(name) + 6, "label": "SIGNER"}]}


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    path = tmp_path / "samples.jsonl"
    lines = [json.dumps(sample(name, number)) for number in range(6) for name in NAMES]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_trained_pipeline_finds_what_it_was_shown(jsonl, tmp_path):
    output = tmp_path / "signers"
    command = ["train-ner", str(jsonl), "--output", str(output), "--language", "en", "--rounds", "12"]
    result = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    report = json.loads(result.stdout)
    assert (report["trained_on"], report["scored_on"], report["misaligned"]) == (24, 6, 0)
    assert report["total"]["f1"] == report["labels"]["SIGNER"]["f1"] == 1
    assert json.loads((output / "report.json").read_text()) == report
    text = "Order 9 was signed by Kwame Zebra for the buyer."
    found = engine.find("spacy", [text], Options(spacy_model=str(output)))
    assert found.engine == "spacy en_signers 1.0.0"
    assert [(span.label, text[span.start : span.end]) for span in found.spans[0]] == [
        ("SIGNER", "Kwame Zebra")
    ]


def test_conll_is_read_as_sentences(tmp_path):
    path = tmp_path / "samples.conll"
    path.write_text(CONLL)
    first, second = read(path)
    assert [(each.label, first.text[each.start : each.end]) for each in first.entities] == [
        ("PERSON", "Zoltan Zebra"),
        ("ORG", "Acme"),
        ("ORG", "Alba"),
    ]
    assert (second.text, second.entities) == ("No", [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a"}', "line 1: entities Field required"),
        ("a.jsonl", "\n{", "line 2: Expecting"),
        ("a.jsonl", '{"text": "ab", "entities": [{"start": 1, "end": 9, "label": "A"}]}', "does not fit"),
        (
            "a.jsonl",
            '{"text": "ab", "entities": [{"start": 0, "end": 2, "label": "A"}, '
            '{"start": 1, "end": 2, "label": "B"}]}',
            "overlaps",
        ),
        ("a.jsonl", '{"text": "ab", "entities": []}', "no entities to learn from"),
        ("a.conll", "word\n", "line 1: give a token and a tag"),
        ("a.conll", "word NNP\n", "line 1: give a token and a tag"),
        ("a.txt", None, "can't be read"),
    ],
)
def test_samples_that_cannot_be(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(PermanentError, match=message):
        read(path)
