"""The types of document that are told apart, and the fields usual for each."""

from typing import Literal

DocumentType = Literal["invoice", "receipt", "contract", "letter", "report", "other"]

EXPECTED_FIELDS: dict[DocumentType, tuple[str, ...]] = {
    "invoice": (
        "invoice_number",
        "issue_date",
        "due_date",
        "total",
        "currency",
        "seller",
        "buyer",
        "iban",
        "vat_id",
    ),
    "receipt": ("merchant", "date", "total", "currency", "vat_id"),
    "contract": ("parties", "effective_date", "governing_law", "term", "reference", "signatories"),
    "letter": ("sender", "organization", "recipient", "date", "subject", "reference"),
    "report": ("author", "organization", "date", "subject", "chair", "reference", "next_meeting"),
    "other": (),
}
