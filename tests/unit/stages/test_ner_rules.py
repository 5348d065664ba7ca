"""What each label's rule takes, what it leaves, and how it normalises."""

import pytest

from stages.ner import repeats, rules
from stages.ner.hints import Hints

HINTS = Hints(regions=("GB", "DE", "US", "FR"))


def found(label: str, text: str, hints: Hints = HINTS) -> list[tuple[str, str | None]]:
    return [(text[s.start : s.end], s.normalized) for s in rules.find(text, hints) if s.label == label]


def texts(label: str, text: str) -> list[str]:
    return [text for text, _ in found(label, text)]


@pytest.mark.parametrize(
    ("text", "iban"),
    [
        ("IBAN: DE89 3704 0044 0532 0130 00.", "DE89370400440532013000"),
        ("to NL91ABNA0417164300 today", "NL91ABNA0417164300"),
        ("GB29 NWBK\n6016 1331 9268 19, with", "GB29NWBK60161331926819"),
        ("IBAN DE89 37O4 OO44 0532 0l30 00", "DE89370400440532013000"),
        ("NO93 8601 1117 947 BIC DNBANOKK", "NO9386011117947"),
    ],
    ids=["grouped", "compact", "broken over lines", "letters for digits", "text after it"],
)
def test_iban(text, iban):
    assert [normalized for _, normalized in found("IBAN", text)] == [iban]


@pytest.mark.parametrize(
    "text",
    [
        "DE89 3704 0044 0532 0130 01",
        "DE89 3704 0044 0532 0130",
        "DE89370400440532013000123",
        "ZZ89 3704 0044 0532",
    ],
    ids=["check fails", "too short", "too long", "no such country"],
)
def test_no_iban(text):
    assert found("IBAN", text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("our id DE 811 907 980 is", "DE811907980"),
        ("VAT ID: DE123456789", "DE123456789"),
        ("ATU13585627", "ATU13585627"),
        ("CHE-116.281.710 MWST", "CHE116281710MWST"),
        ("BTW NL004495445B01", "NL004495445B01"),
        ("BE 0428.759.497", "BE0428759497"),
        ("IT00743110157", "IT00743110157"),
        ("LU 15027442", "LU15027442"),
        ("PL 8567346215", "PL8567346215"),
        ("SE 123456789701", "SE123456789701"),
        ("DK 13585628", "DK13585628"),
        ("PT 501964843", "PT501964843"),
        ("FI20774740", "FI20774740"),
        ("SI50223054", "SI50223054"),
        ("TVA FR 40 303 265 045", "FR40303265045"),
        ("VAT no. IE6388047V", "IE6388047V"),
        ("NIF: ESA13585625", "ESA13585625"),
    ],
)
def test_vat_id(text, number):
    assert [normalized for _, normalized in found("VAT_ID", text)] == [number]


@pytest.mark.parametrize(
    "text", ["article DE123456789", "DK12345678", "DE8119079801", "PL 8567346216 pieces"]
)
def test_no_vat_id(text):
    assert found("VAT_ID", text) == []


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("EUR 1,234.50", [("EUR 1,234.50", "1234.50 EUR")]),
        ("1.234,50 €", [("1.234,50 €", "1234.50 EUR")]),
        ("1 234,50 €", [("1 234,50 €", "1234.50 EUR")]),
        ("CHF 1'490.00", [("CHF 1'490.00", "1490.00 CHF")]),
        ("$300,000", [("$300,000", "300000.00 USD")]),
        ("50,- €", [("50,- €", "50.00 EUR")]),
        ("£0.084 each", [("£0.084", "0.084 GBP")]),
        ("1.234 €", [("1.234 €", "1234.00 EUR")]),
        ("€2.4 million", [("€2.4 million", "2400000.00 EUR")]),
        ("3,5 Mio. EUR", [("3,5 Mio. EUR", "3500000.00 EUR")]),
        ("-50.00 EUR", [("-50.00 EUR", "-50.00 EUR")]),
        ("500 euros", [("500 euros", "500.00 EUR")]),
        ("TotalEUR1,234.50VAT", [("EUR1,234.50", "1234.50 EUR")]),
        ("£412.50 £1,650.00", [("£412.50", "412.50 GBP"), ("£1,650.00", "1650.00 GBP")]),
        ("412,50 € 1.650,00 €", [("412,50 €", "412.50 EUR"), ("1.650,00 €", "1650.00 EUR")]),
        ("Item 10 £12.00\nItem 4 £3.00\n", [("£12.00", "12.00 GBP"), ("£3.00", "3.00 GBP")]),
    ],
)
def test_money(text, amounts):
    assert found("MONEY", text) == amounts


@pytest.mark.parametrize(
    "text", ["12.75 kg", "EURO 2024", "1,200 pallets", "15 % more", "A4 paper", "USD", "5 m long"]
)
def test_no_money(text):
    assert found("MONEY", text) == []


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026-03-12", "2026-03-12"),
        ("2026-03-12T10:00:00Z", "2026-03-12"),
        ("12 March 2026", "2026-03-12"),
        ("12th of March, 2026", "2026-03-12"),
        ("March 12, 2026", "2026-03-12"),
        ("12.03.2026", "2026-03-12"),
        ("12. 3. 2026", "2026-03-12"),
        ("12/03/2026", "2026-03-12"),
        ("03/14/2026", "2026-03-14"),
        ("12-Mar-2026", "2026-03-12"),
        ("3. Februar 2026", "2026-02-03"),
        ("1er avril 2026", "2026-04-01"),
        ("12 MÄRZ 2026", "2026-03-12"),
        ("12March 2026", "2026-03-12"),
        ("3\nOctober 2025", "2025-10-03"),
        ("12.03.26", "2026-03-12"),
        ("29 February 2024", "2024-02-29"),
        ("March 2026", "2026-03"),
        ("20 de enero de 2026", "2026-01-20"),
        ("1.º de mayo del 2026", "2026-05-01"),
        ("septiembre de 2026", "2026-09"),
        ("4 giugno 2026", "2026-06-04"),
        ("1° marzo 2026", "2026-03-01"),
        ("10 set 2026", "2026-09-10"),
        ("14 maart 2026", "2026-03-14"),
        ("3 de março de 2026", "2026-03-03"),
    ],
)
def test_date(text, date):
    assert [normalized for _, normalized in found("DATE", f"on {text}, then")] == [date]


@pytest.mark.parametrize(
    "text",
    [
        "31.02.2026",
        "29 February 2025",
        "section 4.10.12",
        "10.0.12.7",
        "13/13/2026",
        "10-20-30",
        "in 2024",
        "we set 2026 as the limit",
        "long ago 2026",
        "May I",
    ],
)
def test_no_date(text):
    assert found("DATE", text) == []


def test_month_first():
    assert found("DATE", "03/04/2026", Hints(month_first=True)) == [("03/04/2026", "2026-03-04")]
    assert found("DATE", "03.04.2026", Hints(month_first=True)) == [("03.04.2026", "2026-04-03")]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Write to Billing@Acme.Example.", "billing@acme.example"),
        ("<j.o'b+tag@mail.acme.co.uk>", "b+tag@mail.acme.co.uk"),
        ("E-Mail:anna_k@büro.example", "anna_k@büro.example"),
    ],
)
def test_email(text, address):
    assert [normalized for _, normalized in found("EMAIL", text)] == [address]


@pytest.mark.parametrize("text", ["user@localhost", "a @ b.example", "3 @ 1.10", "@handle"])
def test_no_email(text):
    assert found("EMAIL", text) == []


@pytest.mark.parametrize(
    ("text", "url", "normalized"),
    [
        ("(see https://Acme.example/a_(b)).", "https://Acme.example/a_(b)", "https://acme.example/a_(b)"),
        ("www.acme.example/wall every", "www.acme.example/wall", "https://www.acme.example/wall"),
        ("visit old-mill.example, or", "old-mill.example", "https://old-mill.example"),
        ("https://x.example/q?a=1&b=2#c", "https://x.example/q?a=1&b=2#c", "https://x.example/q?a=1&b=2#c"),
    ],
)
def test_url(text, url, normalized):
    assert found("URL", text) == [(url, normalized)]


@pytest.mark.parametrize("text", ["e.g. this", "end.The next", "info@acme.example", "report.pdf", "http://"])
def test_no_url(text):
    assert found("URL", text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+44 113 496 0123", "+441134960123"),
        ("+49 (0)30 23125 123", "+493023125123"),
        ("0049 30 23125123", "+493023125123"),
        ("Tel. 0113 496 0177", "+441134960177"),
        ("telephone 0161 496\n0145 or", "+441614960145"),
        ("(217) 555-0142", "+12175550142"),
        ("Tel:0341 9627 4410", "+4934196274410"),
        ("Tel. 0341 962744", "+49341962744"),
        ("bereikbaar op 0341962744", "+49341962744"),
        ("llame al 0341962744", "+49341962744"),
        ("cellulare 0341962744", "+49341962744"),
        ("write to us, 020 79 46 07 87, today", "+442079460787"),
    ],
)
def test_phone(text, number):
    assert [normalized for _, normalized in found("PHONE", text)] == [number]


def test_a_labelled_phone_number_of_no_known_region_is_kept_as_it_is():
    assert found("PHONE", "Phone: 555 010 0199", Hints()) == [("555 010 0199", None)]


@pytest.mark.parametrize(
    "text",
    [
        "EAN 4006381333931",
        "+1 555 010 0199",
        "batch 20251107883",
        "Invoice No. 0113 4960177",
        "0049-1234-5678-90AB",
        "192.168.10.12",
        "2026-03-12 2026-03-13",
        "10.01 8 21.90 175.20",
        "size 0341962744",
        "DE89 3704 0044 0532 0130 00",
    ],
)
def test_no_phone(text):
    assert found("PHONE", text) == []


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("Invoice No. INV-2026-0042", "INV-2026-0042"),
        ("Invoice number\nBW-2026-00417", "BW-2026-00417"),
        ("Rechnungsnr.: 2026/00173", "2026/00173"),
        ("Kundennummer KD-4711", "KD-4711"),
        ("facture n° F2026-0097", "F2026-0097"),
        ("Your order PO-88213", "PO-88213"),
        ("Ref: PL/2026/077", "PL/2026/077"),
        ("Lieferschein-Nr. LS 99812", "LS99812"),
        ("policy number is TM 4471902", "TM4471902"),
        ("Receipt # 004518", "004518"),
        ("Amtsgericht Kiel HRB 990417", "HRB990417"),
        ("RF18 5390 0754 7034", "RF18539007547034"),
        ("Employee no.: EMP-00931", "EMP-00931"),
        ("PO number: 4500091237", "4500091237"),
        ("the bill of lading, number NKS-55120-7, before", "NKS-55120-7"),
        ("Garantiescheinnummer 88-120", "88-120"),
        ("Betreft: factuur VH-2026-0417", "VH-2026-0417"),
        ("Ons kenmerk: 2026/ab-17", "2026/ab-17"),
        ("bestelnummer 10442", "10442"),
        ("Fattura n. 318/2026", "318/2026"),
        ("codice cliente 70012", "70012"),
        ("n. pratica: 5541/B", "5541/B"),
        ("Pedido nº 2026-118", "2026-118"),
        ("número de póliza 7741902", "7741902"),
        ("Offerte Nr. 2026-0088", "2026-0088"),
    ],
)
def test_reference(text, reference):
    assert [normalized for _, normalized in found("REFERENCE", text)] == [reference]


@pytest.mark.parametrize(
    "text",
    [
        "order 12 units",
        "Order date: 12.03.2026",
        "Contract 2026",
        "the customer has 3",
        "No. 5",
        "Telefonnummer 4471902",
        "Haus-Nr. 1182",
        "rekeningnummer 4471902",
        "staff: 300",
        "RF19 5390 0754 7034",
    ],
)
def test_no_reference(text):
    assert found("REFERENCE", text) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Am Stadtgraben 8 · 04109 Leipzig", "Am Stadtgraben 8, 04109 Leipzig"),
        ("at Lindenstr. 27a\nD-70173 Stuttgart\nGermany\n", "Lindenstr. 27a, D-70173 Stuttgart, Germany"),
        ("Keizersgracht 123\n1015 CJ Amsterdam", "Keizersgracht 123, 1015 CJ Amsterdam"),
        ("12, rue des Tanneurs\n69005 Lyon", "12, rue des Tanneurs, 69005 Lyon"),
        ("7 Tannery Row\nBristol BS1 9ZF\nUnited Kingdom", "7 Tannery Row, Bristol BS1 9ZF, United Kingdom"),
        ("in 500 Harbor Blvd, Suite 210, Boston, MA 02110", "500 Harbor Blvd, Suite 210, Boston, MA 02110"),
        ("P.O. Box 12, Leeds LS1 4QT", "P.O. Box 12, Leeds LS1 4QT"),
        ("Old Forge\nMarket Street\nHexham NE46 3PQ", "Market Street, Hexham NE46 3PQ"),
        ("Rose Cottage, Church Lane, Hexham NE46 3PQ", "Rose Cottage, Church Lane, Hexham NE46 3PQ"),
        ("Calle Mayor, 18, 3º B, 28013 Madrid", "Calle Mayor, 18, 3º B, 28013 Madrid"),
        ("C/ de la Paz 4, bajo\n46183 Eliana (Valencia)", "C/ de la Paz 4, bajo, 46183 Eliana (Valencia)"),
        ("Via dei Mille, 12/A - 20090 Opera (MI)", "Via dei Mille, 12/A - 20090 Opera (MI)"),
    ],
)
def test_address(text, address):
    assert [normalized for _, normalized in found("ADDRESS", text)] == [address]


@pytest.mark.parametrize(
    "text",
    [
        "March 12, 2026 Total",
        "230 V\nBW-0902 Silicone",
        "Model 44,\n10000 Units",
        "Meeting Points, Hexham NE46 3PQ",
    ],
)
def test_no_address(text):
    assert found("ADDRESS", text) == []


def test_places_inside_an_address_are_found_too():
    text = "7 Tannery Row\nBristol BS1 9ZF\nUnited Kingdom"
    assert texts("LOC", text) == ["Bristol", "United Kingdom"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("signed by Kestrel Marine Insurance plc on", ["Kestrel Marine Insurance plc"]),
        ("Total\nHartmann & Söhne GmbH & Co. KG\n", ["Hartmann & Söhne GmbH & Co. KG"]),
        ("Invoice Acme Ltd", ["Acme Ltd"]),
        ("Van Dijk B.V. and Polar Freight AS", ["Van Dijk B.V.", "Polar Freight AS"]),
        ("supplied to Caldera Energy Systems\nLimited at", ["Caldera Energy Systems\nLimited"]),
        ("(Meridian Data Services, Inc.)", ["Meridian Data Services, Inc."]),
        ("of the Bank of England, from", ["Bank of England"]),
        ("The Saltmarsh Trust\nRegistered", ["The Saltmarsh Trust"]),
        ("Quayside Grocers\n www.quayside-grocers.example", ["Quayside Grocers"]),
        ("vor dem Arbeitsgericht Musterstadt behalten", ["Arbeitsgericht Musterstadt"]),
        ("transmis à la Mairie de Valbonne.", ["Mairie de Valbonne"]),
        ("en la Generalitat Valenciana.", ["Generalitat Valenciana"]),
        ("bij de Gemeente Drimmelen.", ["Gemeente Drimmelen"]),
        ("conto di Banca Popolare del Lago in", ["Banca Popolare del Lago"]),
        ("called Swift Plumbing Co. of Hull", ["Swift Plumbing Co."]),
        ("Alder Mutual Insurance Company said", ["Alder Mutual Insurance Company"]),
        ("the Delta Ports Office says", ["Delta Ports Office"]),
        ("Tregarthen Boatyard\nQuay", ["Tregarthen Boatyard"]),
        ("worked for Calder & Finch in", ["Calder & Finch"]),
        ("Brandl, Yilmaz & Partner mbB", ["Brandl, Yilmaz & Partner mbB"]),
        ("für den Ausflug der Lehner Treuhand GmbH", ["Lehner Treuhand GmbH"]),
        ("das Institut für Holz GmbH", ["Institut für Holz GmbH"]),
    ],
)
def test_organisation(text, names):
    assert texts("ORG", text) == names


@pytest.mark.parametrize(
    "text",
    [
        "Limited liability applies",
        "AMOUNT AS FOLLOWS",
        "The Bank",
        "our Data Centre",
        "a working group",
        "5 kg AG",
        "2011-2012, Centre",
        "Authors and Group",
        "Health & Safety",
        "Anna & Peter",
        "PERMISSION & WARRANTY",
        "the Standard Library",
        "Amtsgericht Leipzig, HRB 12345",
        "Customer Services",
        "our Insurance Services",
        "la Mairie de la commune",
    ],
)
def test_no_organisation(text):
    assert found("ORG", text) == []


_ATTENDING = ["Xan Dolby", "Priti Ragh", "Tom Ferr", "Xu Wei"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Dear Ms Okafor,", ["Okafor"]),
        ("archivist is Dr\nMatthew Okoro. Neither", ["Matthew Okoro"]),
        ("Signed by: Laura M. Whitfield   Date", ["Laura M. Whitfield"]),
        ("Ansprechpartnerin: Frau Katharina Zimmermann, Tel.", ["Katharina Zimmermann"]),
        ("vertreten durch Xaverl Huber", ["Xaverl Huber"]),
        ("Yours sincerely,\n\nOluwaseun Adeyemi\n", ["Oluwaseun Adeyemi"]),
        ("Best wishes,\nXanthippa\n\nWriters' Guild", ["Xanthippa"]),
        ("Yours sincerely,\n\nIgmm\n\nDr Xenia Thorvald\nDirector", ["Xenia Thorvald"]),
        ("Kind regards,\nYzzel\nIngrid Thorvald", ["Ingrid Thorvald"]),
        ("Devin Castillo, Account Manager", ["Devin Castillo"]),
        ("Sabine Keller and Peter van den Berg agreed", ["Sabine Keller", "Peter van den Berg"]),
        ("Cashier Amira", ["Amira"]),
        ("People\nElsie Marchbank retires", ["Elsie Marchbank"]),
        ("on 12 March 2026, M. Petersen", ["M. Petersen"]),
        ("Catherine O'Brien called", ["Catherine O'Brien"]),
        ("Geachte heer Van Duin,", ["Van Duin"]),
        ("mevrouw Xandra de Groot belt", ["Xandra de Groot"]),
        ("Sehr geehrte Frau von Berg,", ["von Berg"]),
        ("Herrn Xaverl Kramer von der Druckerei", ["Xaverl Kramer"]),
        ("D.ª Xoana Ibáñez y D. Pablo Ortega y Luna, de", ["Xoana Ibáñez", "Pablo Ortega y Luna"]),
        ("al Sig. Xavio De Luca.", ["Xavio De Luca"]),
        ("dott.ssa Ferrante", ["Ferrante"]),
        ("MM. Xavien Kervella et Amadou Diallo", ["Xavien Kervella", "Amadou Diallo"]),
        ("Present: Xan Dolby (Chair), Priti Ragh and Tom Ferr\nApologies: Xu Wei", _ATTENDING),
        ("Présents : Mme Xavie Rousset (présidente), Xan Nguyen\nExcusée :", ["Xavie Rousset", "Xan Nguyen"]),
        ("SINGH, Harpreet; X", ["SINGH, Harpreet"]),
        ("Xan Kamau <x@savannah.example>", ["Xan Kamau"]),
        ("Cc: Xatima al-Sayed\n", ["Xatima al-Sayed"]),
        ("we met Xan McDolby. Write to x.mcdolby@a.example", ["Xan McDolby"]),
        ("Hi Xan,\n", ["Xan"]),
        ("Thanks,\nXan\n", ["Xan"]),
        ("Met vriendelijke groet,\n\nXander-Jan Hoekstra\n", ["Xander-Jan Hoekstra"]),
        ("my neighbour, Xan Fonseca, called", ["Xan Fonseca"]),
        ("Xan Lan worked for us", ["Xan Lan"]),
        ("Policyholder: Xan Yamamoto", ["Xan Yamamoto"]),
        ("By: Xan Yamamoto", ["Xan Yamamoto"]),
        ("Work done by Xan Pascoe and K. Trevithick.", ["Xan Pascoe", "K. Trevithick"]),
    ],
)
def test_person(text, names):
    assert texts("PERSON", text) == names


@pytest.mark.parametrize(
    "text",
    [
        "Dear Sir or Madam,",
        "The Managing Director agreed",
        "Mark the box. Will it?",
        "Signed by: the parties",
        "THE AUTHOR OR HOLDER BE",
        "Anna",
        "Guten Tag,\n",
        "Liebe Kolleginnen,",
        "Dear Colleagues,\n",
        "PLEASE NOTE, Delivery",
        "Report: by noon",
        "Mail x.table@a.example about a Xan table",
    ],
)
def test_no_person(text):
    assert found("PERSON", text) == []


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("in Rotterdam, the Netherlands", ["Rotterdam", "Netherlands"]),
        ("nach Frankfurt am Main und Köln", ["Frankfurt am Main", "Köln"]),
        ("from New\nYork to Wales", ["New\nYork", "Wales"]),
        ("10115 Musterstadt\n", ["Musterstadt"]),
        ("Musterstadt, den 3. Februar 2026", ["Musterstadt"]),
        ("En Villanova, a 20 de enero de 2026", ["Villanova"]),
        ("Bad Muster, le 2 mars 2026", ["Bad Muster"]),
        ("MUSTERTON, 11 March 2026 - The", ["MUSTERTON"]),
        ("8 October 2026, Musterton\n", ["Musterton"]),
        ("he was born in Musterton.", ["Musterton"]),
        ("gevestigd te Musterdam, hierna", ["Musterdam"]),
        ("Lieu : Mustigny\n", ["Mustigny"]),
    ],
)
def test_place(text, places):
    assert texts("LOC", text) == places


@pytest.mark.parametrize(
    "text",
    [
        "Berlin Packaging",
        "Jack London",
        "london",
        "paris@acme.example",
        "18720 Oxnard Street\n",
        "Parisian",
        "Dienstag, 3. März 2026",
        "Anna, 3 March 2026",
        "Xan Lee, 3 March 2026",
        "Copyright 2010, Musterton\n",
        "Fri, 12 Mar 2021",
        "born in Reading Road",
    ],
)
def test_no_place(text):
    assert found("LOC", text) == []


def test_the_surer_label_wins():
    text = "Customer no. 030 1234567, Berlin Metall GmbH, https://acme.example/2026-03-12"
    labels = [span.label for span in rules.find(text, HINTS)]
    assert labels == ["REFERENCE", "ORG", "URL"]


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("Mr Xan Otieno came. Later Otieno left, and Xan wrote.", ["Xan Otieno", "Otieno", "Xan"]),
        ("Mr Xan Otieno came. Walk down Otieno Street.", ["Xan Otieno"]),
        (
            "BLACKWOOD, Janet\nPlease ask Janet, or J. Blackwood",
            ["BLACKWOOD, Janet", "Janet", "J. Blackwood"],
        ),
        ("Mr Xan Case came. In Case it rains.", ["Xan"]),
        (
            "Am Hang 3, 12345 Musterstadt\nwir in Musterstadt",
            ["Am Hang 3, 12345 Musterstadt", *2 * ["Musterstadt"]],
        ),
    ],
    ids=["surname and given name", "part of a longer name", "surname first", "ordinary word", "town"],
)
def test_short_names_are_found_again(text, mentions):
    spans = repeats.complete(text, rules.find(text, HINTS))
    assert [text[span.start : span.end] for span in spans] == mentions
