"""The stage around the rules: pages, boxes, params, checkpoints, the whole document's hints."""

import pytest
from pydantic import ValidationError

from pipeline import PermanentError, run_stage
from pipeline.trial import MemoryServices
from stages.ner import NerParams, ner
from stages.ner.part import LONGEST
from stages.outputs import NerOutput, OcrOutput, Page
from tests.ner_documents import document


@pytest.fixture
def find(tmp_path):
    file = tmp_path / "document.txt"
    file.touch()

    async def run(text: OcrOutput, services: MemoryServices | None = None, **params: object) -> NerOutput:
        return await run_stage(
            ner, file, earlier=[text], params=NerParams.model_validate(params), services=services
        )

    return run


@pytest.fixture
def services(tmp_path):
    return MemoryServices(tmp_path / "document.txt", {})


@pytest.mark.parametrize("texts", [(), ("",), ("", " \n"), ("\0\ufffd\U0010ffff",)])
async def test_no_text_has_no_entities(find, texts):
    output = await find(document(*texts))
    assert output == NerOutput(entities=[], engine="rules 2")


async def test_an_entity_knows_its_page_and_its_place_in_the_whole_text(find):
    text = document("Total EUR 12.50", "Date 12 March 2026")
    money, date = (await find(text)).entities
    assert (money.label, money.page, text.text[money.start : money.end]) == ("MONEY", 1, "EUR 12.50")
    assert (date.label, date.page, text.text[date.start : date.end]) == ("DATE", 2, "12 March 2026")
    assert (date.text, date.normalized, date.engine) == ("12 March 2026", "2026-03-12", "rules 2")


async def test_a_box_is_around_all_words_of_the_entity(find):
    entities = (await find(document("paid to Caldera Energy\nLimited, EUR12.50"))).entities
    assert {entity.text: entity.box for entity in entities} == {
        "Caldera Energy\nLimited": (0, 0, 220, 32),
        "EUR12.50": (90, 20, 170, 32),
    }


async def test_without_words_there_is_no_box(find):
    page = Page(number=1, text="EUR 12.50", method="text")
    (entity,) = (await find(OcrOutput(text="EUR 12.50", pages=[page], engine="text"))).entities
    assert entity.box is None


async def test_only_the_wanted_labels(find):
    text = document("12 March 2026 EUR 12.50 a@b.example")
    assert [each.label for each in (await find(text, labels=["EMAIL", "DATE"])).entities] == ["DATE", "EMAIL"]
    assert (await find(text, labels=[])).entities == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"labels": ["IBANS"]}, "no such labels: IBANS; use some of ADDRESS"),
        ({"default_region": "Germany"}, "use a two-letter code such as DE"),
        ({"date_order": "ymd"}, "'dmy', 'mdy' or 'auto'"),
        ({"region": "DE"}, "Extra inputs are not permitted"),
    ],
)
def test_params_that_cannot_be(params, message):
    with pytest.raises(ValidationError, match=message):
        NerParams.model_validate(params)


@pytest.mark.parametrize(
    ("rest", "params", "number"),
    [
        ("", {"default_region": "DE"}, "+49301234567"),
        ("Dresden, Allemagne", {}, "+49301234567"),
        ("IBAN DE89 3704 0044 0532 0130 00", {}, "+49301234567"),
        ("mobile +49 170 1234567", {}, "+49301234567"),
        ("", {}, None),
    ],
    ids=["params", "places", "bank", "another number", "nothing"],
)
async def test_the_region_of_a_national_phone_number(find, rest, params, number):
    output = await find(document("Telefon 030 1234567", rest), **params)
    assert output.entities[0].normalized == number


@pytest.mark.parametrize(
    ("rest", "params", "date"),
    [
        ("", {}, "2026-04-03"),
        ("", {"date_order": "mdy"}, "2026-03-04"),
        ("12/25/2025", {}, "2026-03-04"),
        ("25/12/2025", {}, "2026-04-03"),
        ("Springfield, IL 62704", {}, "2026-03-04"),
        ("Springfield, IL 62704, 25/12/2025", {}, "2026-04-03"),
        ("12/25/2025", {"date_order": "dmy"}, "2026-04-03"),
    ],
    ids=["none", "params", "month first", "day first", "american", "american but day first", "params win"],
)
async def test_the_order_of_a_date(find, rest, params, date):
    output = await find(document("03/04/2026", rest), **params)
    assert output.entities[0].normalized == date


async def test_what_was_named_once_is_found_again_on_other_pages(find):
    first = "Agreement No. AAS/KMI/2026-014 of Aldermoor Archive Ltd, signed by Xaverl Huber, page 14"
    output = await find(document(first, "AAS/KMI/2026-014: Aldermoor Archive, Xaverl\nHuber, 14"))
    again = [(each.label, each.text) for each in output.entities if each.page == 2]
    assert again == [
        ("REFERENCE", "AAS/KMI/2026-014"),
        ("ORG", "Aldermoor Archive"),
        ("PERSON", "Xaverl\nHuber"),
    ]


async def test_pages_that_do_not_fit_the_text_are_refused(find):
    pages = [Page(number=7, text="EUR 12.50", method="text", start=3)]
    with pytest.raises(PermanentError, match="page 7 does not start at offset 3"):
        await find(OcrOutput(text="EUR 12.50", pages=pages, engine="text"))


async def test_every_page_is_a_checkpoint_and_is_not_searched_again(find, services):
    text = document("Total EUR 12.50", "12 March 2026")
    first = await find(text, services)
    assert sorted(services.saved) == ["page-1", "page-2"]
    assert (services.reported[-1].done, services.reported[-1].total) == (2, 2)
    services.saved["page-2"]["spans"] = [[]]
    again = await find(text, services)
    assert again.entities == [each for each in first.entities if each.page == 1]


async def test_a_long_page_is_searched_in_pieces(find, services):
    sentence = "The invoice of 12 March 2026 is due.\n"
    count = 3 * LONGEST // len(sentence) // 2
    output = await find(document(sentence * count), services)
    assert set(services.saved) == {"part-1", "part-2"}
    assert [each.start for each in output.entities] == [15 + len(sentence) * row for row in range(count)]
    assert {each.text for each in output.entities} == {"12 March 2026"}
