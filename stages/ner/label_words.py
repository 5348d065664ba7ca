"""Labels in words, for models that know none: what is asked for, and how the answer looks."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_LABELS = {"ORGANIZATION": "ORG", "ORGANISATION": "ORG", "COMPANY": "ORG", "LOCATION": "LOC", "PLACE": "LOC"}
_UNLIKE_A_LABEL = re.compile(r"[^A-Z0-9]+")
_MEANINGS = {
    "PERSON": "a person's name, without titles such as Dr. or Ms.",
    "ORG": "a company, authority, club or other organisation",
    "LOC": "a town, region, country or other place by its name",
    "ADDRESS": "a postal address, as far as it is written in one place",
    "DATE": "a date, with or without its year",
    "MONEY": "an amount of money with its currency",
    "REFERENCE": "a number or code of an invoice, contract, order, customer or file",
    "EMAIL": "an e-mail address",
    "PHONE": "a telephone number",
    "URL": "a web address",
    "IBAN": "an international bank account number",
    "VAT_ID": "a value added tax number",
}
_MOST, _LONGEST = 200, 200
"""Wordings in one answer, and characters of one: bounds also keep a grammar-constrained model, which must
close what it opens, from never ending."""
_TASK = """\
You find what a document names, and answer in JSON with a list of mentions. The labels are:
{labels}
For each mention give its label, and as text its words, copied exactly from the document, without what \
stands before and after. List each different wording once, in the order of the document. Leave out what \
no label is meant for; never guess, and never add what the document does not say.
"""


def label_of(words: str) -> str:
    """Return the entity label for a label in words: `product name` is PRODUCT_NAME."""
    label = _UNLIKE_A_LABEL.sub("_", words.upper()).strip("_")
    return _LABELS.get(label, label)


def described(words: Sequence[str]) -> dict[str, str]:
    """Return the labels for these words, each with its meaning; without any, those that the rules know."""
    if not words:
        return _MEANINGS
    labels = {label_of(each): each for each in words}
    return {label: _MEANINGS.get(label, each) for label, each in labels.items()}


def task_of(labels: Mapping[str, str]) -> str:
    """Return what a model is told to do."""
    return _TASK.format(labels="\n".join(f"- {label}: {meaning}" for label, meaning in labels.items()))


def schema_of(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON schema of its answer."""
    mention = {
        "type": "object",
        "properties": {
            "label": {"type": "string", "enum": list(labels)},
            "text": {"type": "string", "minLength": 1, "maxLength": _LONGEST},
        },
        "required": ["label", "text"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"mentions": {"type": "array", "items": mention, "maxItems": _MOST}},
        "required": ["mentions"],
        "additionalProperties": False,
    }
