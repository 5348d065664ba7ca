"""Redaction: nothing of what was masked is left, everything fits what is, and all of it can be undone."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline import PermanentError, run_stage
from stages.llm import llm
from stages.ner import ner
from stages.outputs import (
    DocumentField,
    Entity,
    EntityGroup,
    LlmOutput,
    NerOutput,
    OcrOutput,
    RedactedOutput,
)
from stages.redact import RedactParams, redact, unmask
from stages.redact.masking import mask
from tests.llm_faults import fault_server, says
from tests.ner_documents import document

PII = frozenset(["PERSON", "ADDRESS", "EMAIL", "PHONE", "IBAN"])
LETTER = (
    "Dear Ms Whitfield,\nthe invoice of Kranz & Sons Ltd over EUR 5.00 was sent to\n"
    "l.whitfield@home.example, Mill Row 7, 10115 Berlin\nPlease pay to IBAN DE89 3704 0044 0532 0130 00",
    "Call +49 30 123456, ask for Mr Dietmar Kranz.\nLAURA WHITFIELD\n\nSigned by: Laura M. Whitfield",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "letter.txt"
    path.touch()
    return path


async def redacted(file: Path, *texts: str, **params: Any) -> tuple[OcrOutput, NerOutput, RedactedOutput]:
    text = document(*texts)
    found = await run_stage(ner, file, earlier=[text])
    output = await run_stage(redact, file, earlier=[text, found], params=RedactParams.model_validate(params))
    assert isinstance(found, NerOutput)
    assert isinstance(output, RedactedOutput)
    return text, found, output


async def test_all_mentions_of_a_person_are_one_placeholder(file):
    _, _, output = await redacted(file, *LETTER)
    assert [page.text for page in output.pages] == [
        "Dear Ms [PERSON_1],\nthe invoice of Kranz & Sons Ltd over EUR 5.00 was sent to\n[EMAIL_1], "
        "[ADDRESS_1]\nPlease pay to IBAN [IBAN_1]",
        "Call [PHONE_1], ask for Mr [PERSON_2].\n[PERSON_1] [PERSON_1]\n\nSigned by: [PERSON_1]",
    ]
    assert output.text == "\f".join(page.text for page in output.pages)
    assert {each.placeholder: each.name for each in output.masks} == {
        "[PERSON_1]": "Laura M. Whitfield",
        "[EMAIL_1]": "l.whitfield@home.example",
        "[ADDRESS_1]": "Mill Row 7, 10115 Berlin",
        "[IBAN_1]": "DE89370400440532013000",
        "[PHONE_1]": "+4930123456",
        "[PERSON_2]": "Dietmar Kranz",
    }


async def test_words_entities_and_groups_fit_the_redacted_text(file):
    _, _, output = await redacted(file, *LETTER)
    for page in output.pages:
        assert output.text.startswith(page.text, page.start)
        assert all(page.text[word.start : word.end] == word.text for word in page.words)
    assert all(output.text[each.start : each.end] == each.text for each in output.entities)
    kept = {(each.label, each.text) for each in output.entities}
    assert {("ORG", "Kranz & Sons Ltd"), ("MONEY", "EUR 5.00"), ("PERSON", "[PERSON_1]")} <= kept
    # The town inside the address went with it.
    assert "LOC" not in {each.label for each in output.entities}
    assert sorted(index for group in output.groups for index in group.mentions) == list(
        range(len(output.entities))
    )
    assert {group.name for group in output.groups if group.label == "PERSON"} == {"[PERSON_1]", "[PERSON_2]"}
    (address,) = [word for word in output.pages[0].words if "ADDRESS" in word.text]
    assert address.box == (260, 40, 500, 52)


async def test_a_mention_knows_its_page_its_boxes_and_what_was_there(file):
    text, _, output = await redacted(file, *LETTER)
    (mention,) = [each for each in output.mentions if each.placeholder == "[PHONE_1]"]
    assert (mention.page, mention.text) == (2, "+49 30 123456")
    assert mention.boxes == [(50, 0, 80, 12), (90, 0, 110, 12), (120, 0, 190, 12)]
    restored = output.text
    for each in reversed(output.mentions):
        end = each.start + len(each.placeholder)
        assert restored[each.start : end] == each.placeholder
        restored = restored[: each.start] + (each.text or "") + restored[end:]
    assert restored == text.text


async def test_without_originals_the_output_holds_none(file):
    _, _, output = await redacted(file, *LETTER, keep_originals=False)
    left = output.model_dump_json().casefold()
    for secret in ("whitfield", "laura", "dietmar", "3704", "123456", "mill row", "home.example"):
        assert secret not in left
    with pytest.raises(PermanentError, match="keep_originals"):
        await run_stage(unmask, file, earlier=[output, answer()])


async def test_only_the_wanted_labels(file):
    _, _, output = await redacted(file, "Laura Whitfield paid EUR 5.00", labels=["MONEY"])
    assert output.text == "Laura Whitfield paid [MONEY_1]"
    with pytest.raises(ValidationError, match="should match pattern"):
        RedactParams(labels=["person"])


async def test_a_placeholder_that_the_document_has_is_not_taken(file):
    _, _, output = await redacted(file, "Type [EMAIL_1] or EMAIL_2, a@b.example")
    assert output.text == "Type [EMAIL_1] or EMAIL_2, [EMAIL_3]"


def answer(**given: Any) -> LlmOutput:
    return LlmOutput.model_validate(
        {"type": "letter", "title": "t", "summary": "s", "fields": [], "engine": "openai", **given}
    )


async def test_an_answer_gets_the_originals_back(file):
    _, _, output = await redacted(file, *LETTER)
    fields = [
        {"name": "recipient", "value": "PERSON_1", "page": 1, "quote": "Dear Ms [PERSON_1],"},
        {"name": "iban", "value": "[IBAN_1]", "page": 1, "quote": "to  IBAN [IBAN_1]"},
        {"name": "other", "value": "[PERSON_12] [PERSON_9]", "quote": "by [PERSON_2] himself"},
    ]
    masked = answer(title="Letter to [PERSON_1]", fields=fields)
    restored = await run_stage(unmask, file, earlier=[output, masked])
    assert restored == answer(
        title="Letter to Laura M. Whitfield",
        fields=[
            {"name": "recipient", "value": "Laura M. Whitfield", "page": 1, "quote": "Dear Ms Whitfield,"},
            {
                "name": "iban",
                "value": "DE89370400440532013000",
                "page": 1,
                "quote": "to IBAN DE89 3704 0044 0532 0130 00",
            },
            # What the document does not have stays; a quote that is not in it has the name.
            {"name": "other", "value": "[PERSON_12] [PERSON_9]", "quote": "by Dietmar Kranz himself"},
        ],
    )


async def test_what_leaves_the_house_is_masked_and_the_result_is_not(file, monkeypatch):
    text, found, output = await redacted(file, *LETTER)
    given = {
        "type": "letter",
        "title": "Letter to [PERSON_1]",
        "summary": "[PERSON_1] shall pay to [IBAN_1].",
        "fields": [{"name": "contact", "value": "[PERSON_2]", "page": 2, "quote": "ask for Mr [PERSON_2]"}],
    }
    async with fault_server(says(given)) as server:
        monkeypatch.setenv("MILLRACE_LLM_BASE_URL", server.base_url)
        monkeypatch.setenv("MILLRACE_LLM_MODEL", "m")
        answered = await run_stage(llm, file, earlier=[text, found, output])
        sent = json.dumps([request.body for request in server.requests], ensure_ascii=False).casefold()
    for secret in ("whitfield", "laura", "dietmar", "3704", "123456", "mill row", "home.example"):
        assert secret not in sent
    assert "[person_1]" in sent
    assert "kranz & sons ltd" in sent
    result = await run_stage(unmask, file, earlier=[text, found, output, answered])
    assert isinstance(result, LlmOutput)
    assert result.summary == "Laura M. Whitfield shall pay to DE89370400440532013000."
    (field,) = result.fields
    assert field == DocumentField(
        name="contact",
        value="Dietmar Kranz",
        page=2,
        quote="ask for Mr Dietmar Kranz",
        box=field.box,
        confidence=field.confidence,
    )
    assert field.box is not None


WORDS = st.lists(st.sampled_from(["Ann", "Lee", "a@b.example", "of", "York", "\n", "ANN", "x"]), max_size=12)


@settings(max_examples=150)
@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=3), st.data())
def test_any_entities_are_masked_and_can_be_put_back(texts, data):
    text = document(*texts)
    entities = []
    for _ in range(data.draw(st.integers(0, 5))):
        start = data.draw(st.integers(0, len(text.text)))
        end = data.draw(st.integers(start, len(text.text)))
        if text.text[start:end].strip():
            label = data.draw(st.sampled_from(["PERSON", "EMAIL", "LOC"]))
            entities.append(
                Entity(
                    label=label, text=text.text[start:end], start=start, end=end, page=1, score=1, engine="x"
                )
            )
    groups = [EntityGroup(label=each.label, name=each.text, mentions=[n]) for n, each in enumerate(entities)]
    output = mask(text, NerOutput(entities=entities, engine="x", groups=groups), PII, True)
    assert output.text == "\f".join(page.text for page in output.pages)
    for page in output.pages:
        assert output.text.startswith(page.text, page.start)
        assert all(page.text[word.start : word.end] == word.text for word in page.words)
    assert all(output.text[each.start : each.end] == each.text for each in output.entities)
    restored = output.text
    for each in reversed(output.mentions):
        end = each.start + len(each.placeholder)
        assert restored[each.start : end] == each.placeholder
        restored = restored[: each.start] + (each.text or "") + restored[end:]
    assert restored == text.text
