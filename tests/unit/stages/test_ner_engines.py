"""The engines beside the rules, their merging, patterns of the user's own, and the operator's settings."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from pydantic import ValidationError

from pipeline import PermanentError, run_stage
from pipeline.trial import MemoryServices
from stages.ner import NerParams, engine, gliner_engine, ner
from stages.ner.engine import Options
from stages.ner.hints import Given, Hints, read
from stages.ner.merge import merge
from stages.ner.pattern import PatternFile
from stages.ner.span import Span
from stages.outputs import Entity, NerOutput
from tests.ner_documents import document

RULES = [
    {"label": "PERSON", "pattern": "Zoltan Zebra"},
    {"label": "GPE", "pattern": "Ruritania"},
    {"label": "DATE", "pattern": "12 March 2026"},
    {"label": "Work of art", "pattern": "Blue Horse"},
]


@pytest.fixture
def pipeline(tmp_path: Path) -> str:
    """A spaCy pipeline in a folder; it knows four names by heart."""
    made = spacy.blank("en", meta={"name": "tiny", "version": "1.2.3"})
    made.add_pipe("entity_ruler").add_patterns(RULES)
    made.to_disk(tmp_path / "tiny")
    return str(tmp_path / "tiny")


@pytest.fixture
def find(tmp_path: Path) -> Any:
    file = tmp_path / "document.txt"
    file.touch()

    async def run(*texts: str, services: MemoryServices | None = None, **params: object) -> NerOutput:
        output = await run_stage(
            ner, file, earlier=[document(*texts)], params=NerParams.model_validate(params), services=services
        )
        assert isinstance(output, NerOutput)
        return output

    return run


def told(entities: list[Entity]) -> list[tuple[str, str]]:
    return [(each.label, each.text) for each in entities]


async def test_a_spacy_pipeline_of_the_operator_beside_the_rules(find, pipeline, monkeypatch, tmp_path):
    monkeypatch.setenv("MILLRACE_NER_ENGINES", '["rules", "spacy"]')
    monkeypatch.setenv("MILLRACE_NER_SPACY_MODEL", pipeline)
    services = MemoryServices(tmp_path / "document.txt", {})
    first = "Zoltan Zebra paid EUR 5.00 on 12 March 2026"
    output = await find(first, "in Ruritania, for Blue Horse.", services=services)
    assert output.engine == "rules 2 + spacy en_tiny 1.2.3"
    by_text = {each.text: each for each in output.entities}
    assert {text: (each.label, each.normalized, each.page) for text, each in by_text.items()} == {
        "Zoltan Zebra": ("PERSON", "Zoltan Zebra", 1),
        "EUR 5.00": ("MONEY", "5.00 EUR", 1),
        "12 March 2026": ("DATE", "2026-03-12", 1),
        "Ruritania": ("LOC", "Ruritania", 2),
        "Blue Horse": ("WORK_OF_ART", None, 2),
    }
    assert by_text["Ruritania"].box == (30, 0, 130, 12)
    assert by_text["12 March 2026"].engines == ["rules 2", "spacy en_tiny 1.2.3"]
    assert (by_text["EUR 5.00"].engine, by_text["EUR 5.00"].engines) == ("rules 2", ["rules 2"])
    assert by_text["Zoltan Zebra"].engines == ["spacy en_tiny 1.2.3"]
    # Pages go to the pipeline together, and to the rules one by one.
    assert sorted(services.saved) == ["page-1", "page-2", "spacy batch-1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(), "give `spacy_model`"),
        (Options(spacy_model="no_such_pipeline"), "'no_such_pipeline' can't be opened on this worker"),
        (Options(spacy_model="numpy", spacy_installed_only=True), "'numpy' can't be opened"),
    ],
)
def test_a_pipeline_that_is_not_there(options, message):
    with pytest.raises(PermanentError, match=message):
        engine.find("spacy", ["text"], options)


def test_a_job_names_no_folder_of_the_worker(pipeline):
    with pytest.raises(PermanentError, match="no package of a pipeline"):
        engine.find("spacy", ["text"], Options(spacy_model=pipeline, spacy_installed_only=True))
    with pytest.raises(ValidationError, match="spacy_model"):
        NerParams(spacy_model=pipeline)


def test_a_pipeline_without_entities_is_refused(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(PermanentError, match="finds no entities"):
        engine.find("spacy", ["text"], Options(spacy_model=str(tmp_path / "blank")))


def test_probablepeople_finds_persons_that_the_rules_do_not_know():
    text = "Present were Kwabena Oforiwaa, Net Pay, PURCHASE ORDER and Zsuzsanna\nvan der Poel in Berlin"
    (spans,) = engine.find("probablepeople", [text], Options()).spans
    names = {span.normalized: span for span in spans}
    assert "Kwabena Oforiwaa" in names
    assert not any(name.isupper() or "Berlin" in name for name in names)
    assert names["Kwabena Oforiwaa"].engines[0].startswith("probablepeople 0.")


# As documented: a list for each text of dicts with start, end, text, label and score.
GLINER = """
class GLiNER:
    @classmethod
    def from_pretrained(cls, model_id, *, local_files_only=False):
        if not local_files_only or model_id != "/models/tiny":
            raise OSError(f"{model_id} is not a folder")
        return cls()

    def inference(self, texts, labels, flat_ner=True, threshold=0.5, multi_label=False, batch_size=8):
        assert all(len(text) <= 1000 for text in texts)
        known = [("Blue Horse", "product name", 0.9), ("Acme", "organization", 0.8)]
        known.append(("Red Cow", "product name", 0.4))
        found = [[] for _ in texts]
        for text, entities in zip(texts, found):
            for word, label, score in known:
                start = text.find(word)
                if start >= 0 and label in labels and score >= threshold:
                    place = {"start": start, "end": start + len(word)}
                    entities.append({**place, "text": word, "label": label, "score": score})
        return found
"""


@pytest.fixture
def gliner(tmp_path, monkeypatch):
    """A package that answers as GLiNER's documentation says."""
    (tmp_path / "gliner.py").write_text(GLINER)
    (tmp_path / "gliner-0.2.29.dist-info").mkdir()
    (tmp_path / "gliner-0.2.29.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: gliner\nVersion: 0.2.29\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    gliner_engine._loaded.cache_clear()
    yield
    gliner_engine._loaded.cache_clear()
    sys.modules.pop("gliner")


def test_gliner_finds_what_a_job_says_in_words(gliner):
    long = "word " * 300 + "The Blue Horse of Acme beats the Red Cow."
    options = Options(gliner_model="/models/tiny", gliner_labels=("product name", "organization"))
    found = engine.find("gliner", ["", long], options)
    assert found.engine == "gliner 0.2.29"
    assert found.spans[0] == []
    assert [(span.label, long[span.start : span.end], span.score) for span in found.spans[1]] == [
        ("PRODUCT_NAME", "Blue Horse", 0.9),
        ("ORG", "Acme", 0.8),
    ]
    lower = Options(gliner_model="/models/tiny", gliner_labels=("product name",), gliner_threshold=0.3)
    assert len(engine.find("gliner", [long], lower).spans[0]) == 2


def test_a_gliner_model_that_is_not_there(gliner):
    with pytest.raises(PermanentError, match="MILLRACE_NER_GLINER_MODEL"):
        engine.find("gliner", ["text"], Options())
    with pytest.raises(PermanentError, match="'/elsewhere' can't be opened on this worker"):
        engine.find("gliner", ["text"], Options(gliner_model="/elsewhere"))


def test_a_missing_package_names_the_command_that_installs_it():
    gliner_engine._loaded.cache_clear()
    with pytest.raises(PermanentError, match=r"needs gliner, .* run `pip install 'millrace\[gliner\]'`"):
        engine.find("gliner", ["text"], Options(gliner_model="/models/tiny"))


PATTERNS = [
    {"label": "PART_NUMBER", "regex": r"\bPN-(?P<value>\d{4})\b"},
    {"label": "PRODUCT", "terms": ["Flow Meter", "Flow Meter 200"], "ignore_case": True},
]


async def test_labels_of_a_jobs_own(find):
    text = "1 FLOW\nmeter 200 PN-4471 of 12 March 2026, Flow Meters"
    output = await find(text, patterns=PATTERNS, labels=["PRODUCT", "PART_NUMBER"])
    assert told(output.entities) == [("PRODUCT", "FLOW\nmeter 200"), ("PART_NUMBER", "PN-4471")]
    assert [each.normalized for each in output.entities] == ["FLOW meter 200", "4471"]
    assert [each.engine for each in output.entities] == ["patterns", "patterns"]
    assert output.entities[0].box == (0, 0, 90, 32)


async def test_labels_of_the_deployments_own_in_a_file(find, monkeypatch, tmp_path):
    file = tmp_path / "patterns.toml"
    file.write_text("[[patterns]]\nlabel = \"CASE\"\nregex = '\\bInvoice No\\. \\d{4}\\b'\n")
    monkeypatch.setenv("MILLRACE_NER_PATTERNS", str(file))
    output = await find("Invoice No. 4711", labels=["CASE"])
    assert told(output.entities) == [("CASE", "Invoice No. 4711")]
    file.write_text("[[patterns]]\nlabel = 'lower'\nterms = ['x']\n")
    with pytest.raises(PermanentError, match=r"correct MILLRACE_NER_PATTERNS: .*patterns\.0\.label"):
        await find("Invoice No. 4711")


async def test_what_a_pattern_finds_stays_whatever_overlaps_it(find):
    text = "IBAN DE89 3704 0044 0532 0130 00"
    output = await find(text, patterns=[{"label": "BANK", "terms": ["0532"]}])
    assert told(output.entities) == [("BANK", "0532")]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ({"label": "A", "regex": "("}, "is no regular expression"),
        ({"label": "A", "regex": "x*"}, "matches where nothing is"),
        ({"label": "A"}, "either a `regex` or `terms`"),
        ({"label": "A", "regex": "x", "terms": ["y"]}, "either a `regex` or `terms`"),
        ({"label": "A", "terms": [" "]}, "visible character"),
        ({"label": "part number", "regex": "x"}, "String should match pattern"),
    ],
)
def test_patterns_that_cannot_be(pattern, message):
    with pytest.raises(ValidationError, match=message):
        NerParams.model_validate({"patterns": [pattern]})


def test_a_file_of_patterns_in_json(tmp_path):
    file = tmp_path / "patterns.json"
    file.write_text(json.dumps({"patterns": PATTERNS}))
    assert [each.label for each in PatternFile.read(file)] == ["PART_NUMBER", "PRODUCT"]
    with pytest.raises(ValueError, match="No such file"):
        PatternFile.read(tmp_path / "other.json")


def test_a_model_may_have_labels_of_its_own(monkeypatch):
    assert NerParams(engines=("gliner",), labels=["PRODUCT_NAME"]).labels == ["PRODUCT_NAME"]
    with pytest.raises(ValidationError, match="no such labels: PRODUCT_NAME"):
        NerParams(engines=("rules",), labels=["PRODUCT_NAME"])


async def test_a_wrong_setting_names_its_variable(find, monkeypatch):
    monkeypatch.setenv("MILLRACE_NER_ENGINES", '["magic"]')
    with pytest.raises(PermanentError, match="MILLRACE_NER_ENGINES"):
        await find("text")


@pytest.mark.parametrize(
    ("locale", "text", "month_first", "regions"),
    [
        ("en-US", "03/04/2026", True, ("US",)),
        ("en-US", "03/04/2026 25/12/2025", False, ("US",)),
        ("de-AT", "03/04/2026 Springfield, IL 62704", False, ("AT", "US")),
        (None, "03/04/2026 Springfield, IL 62704", True, ("US",)),
    ],
)
def test_a_locale_reads_what_the_document_leaves_open(locale, text, month_first, regions):
    assert read(text, Given(locale=locale)) == Hints(regions, month_first)


def test_a_locale_without_a_region_is_refused():
    with pytest.raises(ValidationError, match="use a language with a region"):
        NerParams(locale="german")


def test_merged_findings_say_who_found_them():
    spans = [
        Span("PERSON", 0, 10, 0.6, None, engines=("a",)),
        Span("PERSON", 0, 10, 0.5, "Ann Arbour", engines=("b",)),
        Span("PERSON", 4, 10, 0.9, "Arbour", engines=("d",)),
        Span("ORG", 0, 5, 0.9, "Ann A", engines=("c",)),
        Span("LOC", 20, 24, 0.5, engines=("c",)),
    ]
    for given in (spans, spans[::-1]):
        first, second = merge(given)
        assert (first.label, first.score, first.normalized, set(first.engines)) == (
            "PERSON",
            0.9,
            "Ann Arbour",
            {"a", "b", "d"},
        )
        assert second == spans[-1]


async def test_mentions_of_one_thing_are_grouped(find):
    output = await find(
        "Dear Ms Whitfield,\nDear Mr Keller,\nMr Thomas Keller and Dr. Ulrike Keller, by L. Whitfield\n\n"
        "Signed by: Laura M. Whitfield",
        "Acme Data Services Ltd, paid EUR 1,000.00 by 12 March 2026, that is €1000.00 on 12.03.2026. "
        "Acme Data Services wrote.",
    )
    groups = {
        (each.label, each.name): [" ".join(output.entities[index].text.split()) for index in each.mentions]
        for each in output.groups
    }
    assert groups == {
        ("PERSON", "Laura M. Whitfield"): ["Whitfield", "L. Whitfield", "Laura M. Whitfield"],
        # Two Kellers: the shorter name could be either.
        ("PERSON", "Keller"): ["Keller"],
        ("PERSON", "Thomas Keller"): ["Thomas Keller"],
        ("PERSON", "Ulrike Keller"): ["Ulrike Keller"],
        ("ORG", "Acme Data Services Ltd"): ["Acme Data Services Ltd", "Acme Data Services"],
        ("MONEY", "1000.00 EUR"): ["EUR 1,000.00", "€1000.00"],
        ("DATE", "2026-03-12"): ["12 March 2026", "12.03.2026"],
    }
    assert sorted(index for each in output.groups for index in each.mentions) == list(
        range(len(output.entities))
    )
