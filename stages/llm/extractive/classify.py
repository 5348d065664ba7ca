"""Tells a document's type by weighted keywords."""

import math
import re

from stages.llm.expected import DocumentType

# A type's own words and how much they speak for it. Those in the document's head count twice: there
# it says what it is, further down it may speak of another document.
_KEYWORDS: dict[DocumentType, dict[str, float]] = {
    "invoice": {
        r"invoice|rechnung|facture": 4,
        r"invoice (?:no|number|date)|rechnungs(?:nummer|datum)": 3,
        r"due date|amount due|total due|payment terms|please pay|zahlbar": 2,
        r"bill(?:ed)? to|unit price|qty|quantity": 2,
        r"iban|bic|vat id|ust-?id": 1,
    },
    "receipt": {
        r"receipt|quittung|kassenbon|bon": 4,
        r"cashier|till|terminal|auth code|change due|change": 2,
        r"visa|mastercard|contactless|card\b.{0,4}\*+|cash|girocard": 2,
        r"thank you for (?:shopping|your (?:visit|purchase))|vielen dank für ihren einkauf": 3,
    },
    "contract": {
        r"agreement|contract|vertrag": 3,
        r"hereinafter|hereby|herein|thereof|whereas|in witness whereof": 3,
        r"the part(?:y|ies)|either party|neither party": 2,
        r"governing law|governed by|jurisdiction|termination|confidential(?:ity)?": 2,
        r"shall": 1,
        r"clause|schedule|indemnif\w+|liab(?:le|ility)": 1,
    },
    "letter": {
        r"dear (?:\w+)|sehr geehrte[rs]?|to whom it may concern": 5,
        r"yours (?:sincerely|faithfully|truly)|kind regards|best regards|mit freundlichen grüßen": 5,
        r"i am writing|enclosed|looking forward to|newsletter": 1,
        r"^(?:from|to|subject|re|von|an|betreff):": 2,
    },
    "report": {
        r"minutes|report|memorandum|memo|protokoll|bericht": 4,
        r"agenda|attendees|present|apologies|action items?|actions?|next meeting|chair": 2,
        r"executive summary|introduction|findings|conclusions?|recommendations?|abstract|appendix": 2,
    },
}
_PATTERNS = {
    type_: [
        (re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.I | re.M), weight) for words, weight in keywords.items()
    ]
    for type_, keywords in _KEYWORDS.items()
}
_HEAD = 400
"""Characters."""
_EXAMINED = 200_000
"""Characters, some 80 pages: later ones do not change what a document is."""
_LEAST = 5.0
"""Below this score nothing is sure enough: one keyword somewhere makes no type."""


def document_type(text: str) -> DocumentType:
    """Return the type with the highest score, `other` where none has enough.

    A keyword's score grows with the logarithm of its count, so that a long contract that mentions
    invoices forty times stays a contract.
    """
    scores = {type_: _score(text, type_) for type_ in _PATTERNS}
    best = max(scores, key=lambda type_: scores[type_])
    return best if scores[best] >= _LEAST else "other"


def _score(text: str, type_: DocumentType) -> float:
    head, text = text[:_HEAD], text[:_EXAMINED]
    score = 0.0
    for pattern, weight in _PATTERNS[type_]:
        count = sum(1 for _ in pattern.finditer(text))
        score += weight * math.log2(1 + count)
        score += weight if pattern.search(head) else 0
    return score
