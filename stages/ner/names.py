"""What persons' names are made of, in six languages, and where one that was found ends."""

import re

from stages.ner.gazetteer import given_names, ordinary_words, places, streets
from stages.ner.span import Span
from stages.ner.words import CAPITALISED, GAP, UPPER, whole_lines, words

PARTICLES = frozenset(
    [
        *("van", "von", "der", "den", "de", "del", "della", "di", "da", "du", "la", "le", "ten", "ter", "zu"),
        *("dos", "das", "los", "las", "bin", "al", "el", "y", "dei", "degli", "dal"),
    ]
)
PARTICLE = rf"(?:{'|'.join(sorted(PARTICLES))})(?=\s)"
INITIAL = rf"[{UPPER}]\."
WORD = rf"(?:(?:[dD]['\u2019]|[ae]l-)(?=[{UPPER}]))?{CAPITALISED}"
_FIRST = rf"(?:{CAPITALISED}|{INITIAL}[ ]?(?:{INITIAL}[ ]?)?{CAPITALISED})"
_MORE = rf"(?:{GAP}(?:{INITIAL}|{WORD}|{PARTICLE}))"
NAME = rf"(?P<name>{_FIRST}{_MORE}{{0,6}})"
AFTER_TITLE = rf"(?P<name>(?:{PARTICLE}[ ]){{0,3}}{_FIRST}{_MORE}{{0,6}})"
HONORIFIC = (
    r"(?:Mrs?|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Dame|Lord|Lady|Cllr|Capt|Herrn?|Frau|Monsieur|Madame|"
    r"Mademoiselle|Mme|Mlle|Maître|MM?(?=\.)|Dipl\.-?[ ]?\w{2,8}|Ing|med|jur|Rev|"
    r"[Hh]eer|[Mm]evrouw|[Dd]hr|[Mm]evr|[Mm]w(?=\.)|[Dd]rs|[Ii]r(?=\.)|"
    r"D\.?ª|D[ñ]a|don|[Dd]oña|Srta|Sra?|[Ss]eñor(?:a|ita)?|"
    r"[Ss]ig(?:\.ra|\.na|nora|norina|nor|\.)|[Dd]ott(?:\.ssa|oressa|ore|\.)|[Pp]rof\.ssa|"
    r"(?:[Aa]vv|[Gg]eom|[Rr]ag|[Aa]rch|[Ii]ng)(?=\.))\.?"
)
TITLE = re.compile(HONORIFIC)
_MOST_WORDS = 4
"""Of a name, particles not counted."""


def name_at(
    text: str, start: int, end: int, score: float, *, alone: bool, titled: bool = False
) -> Span | None:
    """Return the name without the words after it that are none; None when nothing is left.

    `alone` says that one word is enough; elsewhere a single one must be a known given name. `titled`
    says that a title is before it: it may begin with a particle.
    """
    kept = _kept(text, start, whole_lines(text, start, end), titled=titled)
    if not kept:
        return None
    end = kept[-1][1]
    name = text[start:end]
    one = len(kept) == 1 and "." not in name
    if name in places() or (one and not alone and name not in given_names()):
        return None
    # In capitals anything may follow a label: `AUTHOR OR CONTRIBUTORS BE LIABLE`.
    if name.isupper() and not one and text[slice(*kept[0])].capitalize() not in given_names():
        return None
    return Span("PERSON", start, end, score, " ".join(name.split()))


def _kept(text: str, start: int, end: int, *, titled: bool) -> list[tuple[int, int]]:
    """Return the places of the words that belong to the name."""
    kept: list[tuple[int, int]] = []
    count = 0
    for first, last in words(text, start, end):
        word = text[first:last]
        # `Di Stefano` and `Le Gall` are surnames after a title or a given name.
        particle = word in PARTICLES or ((titled or kept) and word.lower() in PARTICLES)
        if not particle:
            if count == _MOST_WORDS or word in ordinary_words() or word in streets():
                break
            if is_label(text, start, first, last):
                break
            # `Rafael Ortega y Luna` is one, `Rafael Ortega y Carmen` two.
            if kept and text[slice(*kept[-1])] == "y" and (word in given_names() or word[-1] == "."):
                break
            count += 1
        elif word == "von" and count > 1 and text[slice(*kept[-1])] not in given_names():
            break  # `Jens Kramer von der Druckerei`
        kept.append((first, last))
    while kept and (text[slice(*kept[-1])].lower() in PARTICLES or text[kept[-1][1] - 1] == "."):
        kept.pop()
    return kept if any(text[first].isupper() for first, _ in kept) else []


def is_label(text: str, start: int, first: int, last: int) -> bool:
    """Return whether the word `text[first:last]` of a name from `start` on is the next line's label."""
    return text[last : last + 2].lstrip(" ").startswith(":") and "\n" in text[start:first]
