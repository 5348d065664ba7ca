"""The key fields of contracts."""

import re
from collections.abc import Iterator

from stages.llm.evidence import box_around
from stages.llm.extractive.facts import Facts
from stages.outputs import DocumentField, Entity, Page

_SIGNED = re.compile(r"^signed\b.*\bby\b|^by$", re.I)
_BETWEEN = re.compile(r"\b(?:between|parties|zwischen)\b", re.I)
_EFFECTIVE = re.compile(
    r"\beffective\s+date|\beffective\s+(?:as\s+of|from|on)|\bwith\s+effect\s+from|\bcommenc\w+\s+(?:date|on)"
    r"|\b(?:is\s+)?(?:made|dated|entered\s+into)\b",
    re.I,
)
_LAW = re.compile(
    r"\b(?:laws?\s+of|law\s+is\s+that\s+of)\s+(?:the\s+)?"
    r"([A-Z]\w+(?:\s+(?:(?:and|of)\s+)?[A-Z]\w+)*)"
)
_TERM = re.compile(
    r"\bterm\s+of\s+((?:[\w-]+\s+){1,2}?(?:\(\w+\)\s+)?(?:months?|years?))\b"
    r"|\bfor\s+(?:an?\s+)?(?:initial\s+)?(?:period|term)\s+of\s+((?:[\w-]+\s+){1,2}?(?:\(\w+\)\s+)?(?:months?|years?))\b",
    re.I,
)


def contract(facts: Facts) -> Iterator[DocumentField]:
    """Yield a contract's fields as far as they are found; `parties` and `signatories` once for each."""
    for party in _parties(facts):
        yield facts.field("parties", party)
    if effective := _effective(facts):
        yield facts.field("effective_date", effective)
    yield from _first("governing_law", _LAW, facts.pages)
    yield from _first("term", _TERM, facts.pages)
    for reference in facts.of("REFERENCE")[:1]:
        yield facts.field("reference", reference)
    for signatory in facts.labelled(_SIGNED, "PERSON"):
        yield facts.field("signatories", signatory)


def _parties(facts: Facts) -> list[Entity]:
    """Return the first two organisations, or persons, named after `between` or `parties`."""
    for labels in (("ORG",), ("ORG", "PERSON")):
        for page in facts.pages:
            match = _BETWEEN.search(page.text)
            if match is None:
                continue
            start = page.start + match.end()
            named: dict[str, Entity] = {}
            for each in facts.of(*labels):
                if each.page == page.number and each.start >= start:
                    named.setdefault(" ".join(each.text.lower().split()), each)
            if len(named) >= 2:
                return list(named.values())[:2]
    return facts.of("ORG")[:2]


def _effective(facts: Facts) -> Entity | None:
    """Return the date closest after words that say from when, else the first date."""
    dates = facts.of("DATE")
    for page in facts.pages:
        for match in _EFFECTIVE.finditer(page.text):
            near = page.start + match.end()
            for each in dates:
                if each.page == page.number and near <= each.start <= near + 80:
                    return each
    return dates[0] if dates else None


def _first(name: str, pattern: re.Pattern[str], pages: list[Page]) -> Iterator[DocumentField]:
    for page in pages:
        match = pattern.search(page.text)
        if match:
            group = match.lastindex or 0
            yield DocumentField(
                name=name,
                value=" ".join(match[group].split()),
                page=page.number,
                quote=match[0],
                box=box_around(page, *match.span(group)),
            )
            return
