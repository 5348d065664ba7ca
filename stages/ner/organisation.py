"""Organisations, by their legal form, by a noun such as Bank or Trust, or by their own domain name."""

import re
from collections.abc import Iterator
from itertools import islice

from stages.ner.gazetteer import ordinary_words
from stages.ner.span import Span
from stages.ner.words import UPPER, whole_lines

_FORMS = (
    r"(?:GmbH|AG)\s&\sCo\.?\s?KG(?:aA)?|UG\s\(haftungsbeschränkt\)(?:\s&\sCo\.?\s?KG)?|gGmbH|GmbH|"
    r"mbH|mbB|KGaA|OHG|GbR|PartG(?:\smbB)?|e\.\s?V\.|e\.\s?K\.|e\.\s?G\.|eG|UG|KG|AG|SE|"
    r"(?:Co(?:mpany)?\.?,?\s)?(?:Ltd\.?|Limited)|(?:Pty|Pte)\.?\s(?:Ltd\.?|Limited)|LLP|LP|PLC|plc|CIC|"
    r"(?:Co\.,?\s)?Inc\.?|Incorporated|Corp\.?|Corporation|LLC|L\.L\.C\.|"
    r"S\.A\.S\.?|SAS|SARL|S\.à\s?r\.l\.|SASU|EURL|S\.A\.|SA|SCI|"
    r"S\.r\.l\.|Srl|S\.p\.A\.|SpA|S\.L\.U?\.?|S\.L|B\.V\.|BV|N\.V\.|NV|VOF|A/S|ApS|ASA|AS|AB|Oyj|Oy|"
    r"Sp\.\sz\so\.\s?o\.|s\.r\.o\.|a\.s\.|Kft\.?|Zrt\.?|d\.o\.o\.|K\.K\."
)
_FORM = re.compile(rf"(?<=[\s,])(?:{_FORMS})(?![\w-])")
_FORM_ALONE = re.compile(_FORMS)
# Also words of headings in capitals, or units: only after a name that is not in capitals itself.
_WEAK_FORMS = frozenset(["AS", "SA", "SE", "AB", "SL", "LP", "NV", "BV", "SAS", "UG"])
_NOUN = re.compile(
    r"(?<=[ \n])(?:Bank|Trust|Fund|Authority|Centre|Center|Foundation|University|Institute|College|Academy|"
    r"School|Association|Society|Council|Agency|Commission|Chamber|Federation|Group|Holdings?|Partners|Laboratories|"
    r"Consulting|Hospital|Museum|Ministry|Stiftung|Universität|Hochschule|Institut|Verband|Sparkasse|Klinikum|"
    r"Genossenschaft|Associates|Industries|Technologies|Systems|Solutions)(?![\w-])"
)
_OF = re.compile(
    rf"(?<!\w)(?:Bank|University|Institute|Ministry|Department|Chamber|College|Universität|Université|Ministère)"
    rf"\s(?:of|für|de|du|des|der)\s(?:the\s)?[{UPPER}]\w+(?:(?:\s(?:and|of|und|et)\s|\s)[{UPPER}]\w+)?"
)
_BEFORE = re.compile(r"(\S+)([ \u00a0]|[ ]?\n)\Z")
_PART = re.compile(rf"[(\"„“«'\u2018]?(?:[{UPPER}0-9][\w'\u2019&+.-]*|&|\+),?")
# Ordinary words that may stand inside a name or end it, but never begin one.
_INSIDE = frozenset(
    ["Bank", "City", "Delivery", "General", "Office", "Product", "Project", "Sales", "Service", "Services"]
)
_JOINING = frozenset(
    ["&", "+", "and", "und", "et", "of", "de", "der", "den", "für", "du", "des", "la", "le", "van"]
)
# In German these join only after such a noun: `Institut für …`, but not `der Ausflug der Lehner GmbH`.
_ARTICLES = frozenset(["der", "den", "für"])
_HEADS = re.compile(
    r"(?:(?i:gesellschaft|verein|verband|institut|bank|haus|zentrum|akademie|kammer|bund|stiftung|werke?|agentur|amt|"
    r"verlag|gruppe|zentrale|kasse|dienste?|schule)|[Vv]an)[ ]\Z"
)
_DOMAIN = re.compile(r"(?<=[@./])([a-z0-9]{1,40}(?:-[a-z0-9]{1,40}){1,5})\.[a-z]{2}")
_MOST_WORDS = 7
_LONGEST_WORD = 40
_MOST_DOMAINS = 20
# `Data Centre`, `Working Group`: the two words together name none.
_GENERIC = frozenset(
    ["Data", "Research", "Support", "Control", "Shopping", "Help", "Steering", "User", "Investment"]
)


def find(text: str) -> Iterator[Span]:
    """Yield organisations with their legal form; normalised to single spaces."""
    for form in _FORM.finditer(text):
        start = _start(text, form.start(), comma=True)
        if start < form.start() and not (form[0] in _WEAK_FORMS and text[start : form.start()].isupper()):
            yield _span(text, start, form.end(), 0.93)
    for noun in _NOUN.finditer(text):
        start = _start(text, noun.start(), comma=False)
        if text[start : noun.start()].strip() not in _GENERIC | {""}:
            yield _span(text, _with_article(text, start, noun.end()), noun.end(), 0.7)
    for match in _OF.finditer(text):
        yield _span(text, match.start(), whole_lines(text, *match.span()), 0.75)
    yield from _named_by_domain(text)


def without_form(name: str) -> str:
    """Return an organisation's name without its legal form: `Acme Ltd` is called `Acme` further on."""
    form = _FORM.search(name)
    return name[: form.start()].rstrip(", ") if form else name


def _span(text: str, start: int, end: int, score: float) -> Span:
    return Span("ORG", start, end, score, " ".join(text[start:end].split()))


def _start(text: str, end: int, *, comma: bool) -> int:
    """Return where the capitalised words before `end` begin; `end` itself when there are none.

    `comma` says that the last of them may have one, as in `Acme, Inc.`; anywhere else a comma parts.
    """
    start, candidate = end, end
    for _ in range(_MOST_WORDS):
        before = _BEFORE.search(text, max(0, candidate - _LONGEST_WORD), candidate)
        if before is None or ("\n" in before[2] and _ended_on_purpose(text, before, candidate == end)):
            break
        word = before[1]
        if word in _ARTICLES and not _HEADS.search(text, max(0, candidate - _LONGEST_WORD), before.start()):
            break
        if (word in _JOINING and (candidate < end or word in "&+")) or word.rstrip(",") in _INSIDE:
            candidate = before.start()
            continue
        # A comma parts, but for the one before the form and those in `Hill, Vale & Partners LLP`.
        if not _belongs(word, comma=comma and (candidate == end or "&" in text[start:end])):
            break
        candidate = before.start() + (not (word[0].isalnum() or word[0] in "&+"))
        start = candidate if word not in "&+" else start
        if candidate != before.start():
            break
    return start


def _belongs(word: str, *, comma: bool) -> bool:
    if not _PART.fullmatch(word) or not any(each.isalpha() for each in word):
        return False
    if word.endswith(",") and not comma:
        return False
    if word.endswith(".") and len(word) > 4:
        return False
    return word.strip("(\"„“«'\u2018.,") not in ordinary_words() and not _FORM_ALONE.fullmatch(word)


def _ended_on_purpose(text: str, before: re.Match[str], next_to_form: bool) -> bool:
    """Return whether the line break after a word is one that a name does not cross."""
    position = before.start(2)
    return not next_to_form and whole_lines(text, before.start(), position + 2) <= position


def _with_article(text: str, start: int, end: int) -> int:
    """Return the start with `The` where a heading or an apposition makes it part of the name."""
    if text[max(0, start - 4) : start] != "The ":
        return start
    before, after = text[max(0, start - 6) : start - 4], text[end : end + 2]
    heading = before[-1:] in ("", "\n") and after[:1] in ("", "\n") and not after[1:].islower()
    return start - 4 if heading or before == ", " else start


def _named_by_domain(text: str) -> Iterator[Span]:
    """Yield capitalised words that the document's own addresses spell: `Old Mill` of `old-mill.example`."""
    domains = dict.fromkeys(match[1] for match in _DOMAIN.finditer(text))
    for domain in islice(domains, _MOST_DOMAINS):
        name = r"[ ](?:&[ ])?".join(re.escape(part) for part in domain.split("-"))
        for match in re.finditer(rf"(?<![\w@./-])(?i:{name})(?![\w-]|\.\w)", text):
            if all(part[0].isupper() or part == "&" for part in match[0].split()):
                yield _span(text, *match.span(), 0.7)
