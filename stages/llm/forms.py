"""The built-in schemas of what is read out of a document, one for each usual type."""

from typing import Annotated

from pydantic import BaseModel, Field

from stages.llm.expected import DocumentType

# Bounds also keep a grammar-constrained model, which must close what it opens, from never ending.
Text = Annotated[str, Field(min_length=1, max_length=300)] | None
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=300)]], Field(max_length=10)]
Date = Annotated[str, Field(description="YYYY-MM-DD", min_length=1, max_length=30)] | None
Amount = Annotated[float, Field(description="A plain number, without the currency")] | None
Currency = Annotated[str, Field(description="ISO 4217 code", min_length=1, max_length=3)] | None


class InvoiceLine(BaseModel):
    """A position of an invoice."""

    description: Text
    quantity: Amount
    unit_price: Amount
    amount: Amount


class Invoice(BaseModel):
    """An invoice."""

    invoice_number: Text
    issue_date: Date
    due_date: Date
    seller: Text
    buyer: Text
    total: Amount
    currency: Currency
    iban: Text
    vat_id: Text
    lines: Annotated[list[InvoiceLine], Field(max_length=40)]


class Receipt(BaseModel):
    """A receipt."""

    merchant: Text
    date: Date
    total: Amount
    currency: Currency
    vat_id: Text


class Contract(BaseModel):
    """A contract."""

    parties: Names
    effective_date: Date
    term: Text
    governing_law: Text
    reference: Text
    signatories: Names


class Letter(BaseModel):
    """A letter, a memo or an e-mail."""

    sender: Text
    organization: Text
    recipient: Text
    date: Date
    subject: Text
    reference: Text


class Generic(BaseModel):
    """Any other document."""

    author: Text
    organization: Text
    date: Date
    subject: Text
    reference: Text
    persons: Names


FORMS: dict[str, type[BaseModel]] = {
    "invoice": Invoice,
    "receipt": Receipt,
    "contract": Contract,
    "letter": Letter,
    "generic": Generic,
}


def usual_form(type_: DocumentType) -> str:
    """Return the name of the built-in schema for a type of document."""
    return type_ if type_ in FORMS else "generic"
