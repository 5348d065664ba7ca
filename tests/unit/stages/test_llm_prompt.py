"""What a model is told of a document."""

from stages.endpoint.passages import chunks
from stages.llm.params import LlmParams
from stages.llm.prompt import MAX_ENTITIES, reading
from stages.outputs import NerOutput, OcrOutput
from tests.llm_documents import entities, recognised


def user_message(text: OcrOutput, found: NerOutput, chunk: int = 0) -> str:
    pages = {page.number: page for page in text.pages}
    limit = max(len(page.text) for page in text.pages)
    messages = reading(pages, chunks(text.pages, limit)[chunk], found.entities, LlmParams())
    assert [message["role"] for message in messages] == ["system", "user"]
    return messages[1]["content"]


def test_a_chunk_has_its_own_text_and_its_own_entities_once() -> None:
    text = recognised("Alder pays.\nAlder\nagain", "Birch pays and pays again.")
    found = entities(text, [("ORG", "Alder", None), ("ORG", "Birch", None)])
    first, second = user_message(text, found, 0), user_message(text, found, 1)
    assert "[page 1]\nAlder pays.\nAlder\nagain" in first
    assert "Birch" not in first
    assert first.count("ORG: Alder (page 1)") == 1
    assert "[page 2]\nBirch pays" in second
    assert "Alder" not in second


def test_entities_do_not_crowd_out_the_text() -> None:
    text = recognised(" ".join(f"N{number}" for number in range(2 * MAX_ENTITIES)))
    found = entities(text, [("REFERENCE", f"N{number}", None) for number in range(2 * MAX_ENTITIES)])
    assert user_message(text, found).count("REFERENCE: ") == MAX_ENTITIES


def test_equal_text_is_asked_for_in_equal_words() -> None:
    text = recognised("Alder pays.")
    nothing = NerOutput(entities=[], engine="x")
    assert user_message(text, nothing) == user_message(text, nothing)
    assert "another program" not in user_message(text, nothing)
