"""Our own lists: given names, countries, regions and big cities, and words that are none of these."""

from functools import cache
from importlib.resources import files


def _lines(name: str) -> list[str]:
    text = files("stages.ner").joinpath("data", name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _words(name: str) -> frozenset[str]:
    return frozenset(word for line in _lines(name) for word in line.split())


@cache
def given_names() -> frozenset[str]:
    """Return the given names."""
    return _words("given_names.txt")


@cache
def ordinary_words() -> frozenset[str]:
    """Return words that are often capitalised and no part of a name."""
    return _words("ordinary_words.txt")


@cache
def streets() -> frozenset[str]:
    """Return the last words of streets and buildings."""
    return _words("streets.txt")


@cache
def institutions() -> frozenset[str]:
    """Return nouns with which an organisation's name begins: `Gemeente`, `Mairie`."""
    return _words("institutions.txt")


@cache
def businesses() -> dict[str, int]:
    """Return nouns with which one ends, with how many capitalised words must be before."""
    counted = (line.partition(":") for line in _lines("businesses.txt"))
    return {word: int(count) for count, _, words in counted for word in words.split()}


@cache
def places() -> dict[str, str]:
    """Return the ISO 3166 code of the country for each country, region and city."""
    return {
        name.strip(): country
        for country, _, names in (line.partition(":") for line in _lines("places.txt"))
        for name in names.split(";")
    }


@cache
def countries() -> frozenset[str]:
    """Return the names of countries, without those of their regions and cities."""
    first: dict[str, str] = {}
    for line in _lines("places.txt"):
        country, _, names = line.partition(":")
        first.setdefault(country, names)
    return frozenset(name.strip() for names in first.values() for name in names.split(";"))


@cache
def places_by_word() -> dict[str, list[tuple[str, ...]]]:
    """Return the places' names, each as its words, by their first word; the longest first."""
    by_word: dict[str, list[tuple[str, ...]]] = {}
    for name in sorted(places(), key=len, reverse=True):
        words = tuple(name.split())
        by_word.setdefault(words[0], []).append(words)
    return by_word
