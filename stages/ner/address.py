"""Postal addresses: a street or a box, a postcode with its town, and the country where it follows."""

import re
from collections.abc import Iterator
from functools import cache

from stages.ner.gazetteer import countries, ordinary_words, streets
from stages.ner.span import Span
from stages.ner.words import UPPER

_WORD = rf"[{UPPER}][\w'\u2019.-]{{0,40}}+"
_TOWN = rf"{_WORD}(?:[ -](?:{_WORD}|am|an|der|im|in|bei|de|la|le|sur|sous|upon|on|under|the|les|en)){{0,4}}"
_BRITISH = r"[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}"
_AMERICAN = r"[A-Z]{2}[ ](?:\d{5}(?:-\d{4})?|[A-Z]\d[A-Z][ ]?\d[A-Z]\d)"
# The postcode stands before the town on most of the continent, after it in English.
_TAIL = re.compile(
    r"(?<![\w.'\u2019-])(?:"
    r"(?:(?:A|B|CH|CZ|D|DK|F|FL|I|L|N|NL|S)-)?"
    r"(?:\d{4}[ ]?[A-Z]{2}|\d{4,5}|\d{2}-\d{3}|\d{3}[ ]\d{2}|\d{4}-\d{3})"
    rf"[ ]{{1,2}}(?P<town>{_TOWN})(?:[ ]CEDEX(?:[ ]\d\d)?|[ ]\((?:[A-Z]{{2}}|{_WORD}(?:[ ]{_WORD})?)\))?"
    rf"|(?P<town2>{_WORD}(?:[ -](?:{_WORD}|upon|on|under|the|of)){{0,3}}),?\s{_BRITISH}(?!\w)"
    rf"|(?P<town3>{_WORD}(?:[ ]{_WORD}){{0,3}}),?\s{_AMERICAN}(?!\w))"
)
_BREAK = r"[ ]{0,2}(?:[,;·•|\u2013-][ ]?\n?|\n)[ ]{0,8}"
_HOUSE = r"\d{1,5}(?:[ ]?[a-zA-Z](?!\w))?(?:[ ]?[-/\u2013][ ]?\d{1,4}[a-z]?)?"
_BOX = r"(?:P\.?[ ]?O\.?[ ]?Box|Postfach|BP|Boîte postale)[ ]\d[\d ]{0,12}"
_ON_THE_CONTINENT = (
    rf"{_WORD}[ ](?:(?:{_WORD}|der|den|dem|de|la|van|von|am|an|zum|zur|im)[ ]){{0,3}}(?:Nr\.?[ ]?)?{_HOUSE}"
)
_SOUTHERN_WORDS = "de|del|de la|de los|de las|della|delle|dello|dei|degli|di|do|da|dos|das|la|y|e"
_SOUTHERN = (
    r"(?:Calle|C/|Avda\.|Avenida|Av\.|Plaza|Pza\.|Paseo|Pº|Carretera|Ctra\.|Ronda|Camino|Travesía|"
    r"Via|Viale|Piazza|Piazzale|Corso|Largo|Vicolo|Strada|Rua|Praça)"
    rf"[ ](?:(?:{_WORD}|{_SOUTHERN_WORDS})[ ]){{0,4}}{_WORD},?[ ](?:n[.º°][ ]?)?{_HOUSE}(?:/[A-Z])?"
    r"(?:,?[ ](?:\d{1,2}\.?[ºª°](?:[ ]?[A-Z]{1,5})?|bajo|ático|piso[ ]\d{1,2}|int\.[ ]?\d{1,3}|"
    r"scala[ ][A-Z])(?!\w)){0,2}"
)
_IN_ENGLISH = rf"{_HOUSE}(?:[ ](?:bis|ter))?,?[ ](?:[\w'\u2019.-]+[ ]){{0,4}}[\w'\u2019.-]+"
_UNIT = (
    r"(?:Unit|Suite|Flat|Apt\.?|Apartment|Floor|Building|Room|Level|Haus|Hinterhaus|Aufgang|Bât\.?)"
    r"[ ][\w-]{1,6}"
)
_NAMED_HOUSE = rf"{_WORD}(?:[ ]{_WORD}){{0,3}}"
_IN_UNIT = rf"{_UNIT}{_BREAK}(?:{_IN_ENGLISH}|{_NAMED_HOUSE})"
_STREET = rf"(?:{_IN_UNIT}|{_BOX}|{_IN_ENGLISH}|{_SOUTHERN}|{_ON_THE_CONTINENT})"
_FLOOR = rf"(?:{_UNIT}|\d{{1,2}}(?:st|nd|rd|th)[ ]Floor|\d{{1,2}}\.[ ](?:OG|Stock|Etage))"
_HEAD = re.compile(
    rf"(?<![\w.,-])(?P<street>{_STREET}){_BREAK}(?:(?:{_FLOOR}|{_WORD}(?:[ ]{_WORD}){{0,2}}){_BREAK})?\Z"
)
# `Quay Street, Falmouth TR11 3HH`: a British street may have no number, and before it the name of a house.
_NAMED_STREET = re.compile(rf"(?<![\w.,-])(?:{_NAMED_HOUSE},[ ])?(?P<street>{_NAMED_HOUSE}){_BREAK}\Z")
_UNBROKEN = re.compile(rf"(?<![\w.,-]){_HOUSE}[ ]\Z")
# A street of one compound word begins there, whatever stands before it on the line.
_COMPOUND = re.compile(
    rf"(?<=[ ]){_WORD}(?:str(?:aße|asse|\.)|weg|platz|allee|gasse|gade|vej|straat|gracht|laan)[ ]", re.I
)
# Where the number comes before the street and the postcode before the town.
_FRENCH = re.compile(
    r"(?:rue|avenue|av\.|boulevard|bd|place|chemin|impasse|allées?|quai|route|cours|square|passage|sentier|villa|"
    r"faubourg|cité|esplanade|promenade|zone|lieu-dit)(?!\w)",
    re.IGNORECASE,
)
_LINE_AROUND = re.compile(r"[ ]{0,8}(?:[,·•|]|\n|\Z)")
_LONGEST_HEAD = 110


def find(text: str) -> Iterator[Span]:
    """Yield addresses over one or more lines (normalised to one line with commas).

    A postcode with its town but without a street before it is a LOC.
    """
    for tail in _TAIL.finditer(text):
        start = _street_start(text, tail)
        if start is not None:
            end = _with_country(text, tail.end())
            parts = re.split(r"\s*[,;·•|\n]\s*", text[start:end])
            yield Span("ADDRESS", start, end, 0.85, ", ".join(part for part in parts if part))
        town = "town" if tail["town"] else "town2" if tail["town2"] else "town3"
        if start is not None or town == "town2" or _on_its_own(text, tail):
            yield Span("LOC", *tail.span(town), 0.8, tail[town])


def _street_start(text: str, tail: re.Match[str]) -> int | None:
    begin = max(0, tail.start() - _LONGEST_HEAD)
    unbroken = _UNBROKEN.search(text, begin, tail.start())
    if unbroken is not None and tail["town"] is None:
        return unbroken.start()
    head = _HEAD.search(text, begin, tail.start())
    if head is None:
        named = _NAMED_STREET.search(text, begin, tail.start()) if tail["town2"] else None
        return named.start() if named and named["street"].split()[-1] in streets() else None
    if tail["town"] and not _plausible(head["street"], tail["town"]):
        return None
    compound = _COMPOUND.search(text, *head.span("street"))
    return compound.start() if compound else head.start()


def _plausible(street: str, town: str) -> bool:
    """Return whether both can be: four or five digits before a capital letter are seldom a postcode.

    `March 12, 2026 Total` is none, nor is a quantity over an article's number.
    """
    if town.split()[0] in ordinary_words():
        return False
    last = (re.findall(r"[^\W\d_]{2,}", street) or [""])[-1]
    return _FRENCH.search(street) is not None if street[0].isdigit() else last not in ordinary_words()


def _on_its_own(text: str, tail: re.Match[str]) -> bool:
    """Return whether nothing else is on the line: `10115 Berlin` is a place, `10000 Units of` is not."""
    if (tail["town"] or tail["town3"]).split()[-1] in streets():
        return False
    before = text[max(0, tail.start() - _LONGEST_HEAD) : tail.start()].rpartition("\n")[2]
    alone = not before.strip() and _LINE_AROUND.match(text, tail.end()) is not None
    return alone and len(tail[0].split()[0]) > len("2026")


@cache
def _country() -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in sorted(countries(), key=len, reverse=True))
    return re.compile(rf"[ ]{{0,2}}(?:[,;·•|\u2013-][ ]?\n?|\n)[ ]{{0,8}}(?i:{names})(?!\w)")


def _with_country(text: str, end: int) -> int:
    country = _country().match(text, end)
    return country.end() if country else end
