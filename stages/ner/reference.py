"""Numbers that identify a document, an order, a customer or a contract, by the label before them."""

import re
from collections.abc import Iterator

from stages.ner.iban import mod97
from stages.ner.span import Span

_KINDS = (
    "invoice|credit note|purchase order|order|contract|agreement|customer|client|account|case|file|claim|"
    "policy|quotation|quote|offer|delivery note|delivery|receipt|booking|reservation|ticket|project|tracking|"
    "shipment|document|membership|member|supplier|vendor|payment|transaction|company|registration|registered|job|"
    "circular|memo|"
    "rechnung|gutschrift|auftrag|bestellung|vertrag|angebot|lieferschein|quittung|beleg|kunde|projekt|"
    "facture|avoir|commande|contrat|devis|dossier|bon de livraison|compte client|police|reçu|sinistre|"
    "adhérent|factura|pedido|presupuesto|contrato|expediente|albarán|póliza|cliente|siniestro|reserva|socio|"
    "fattura|ordine|contratto|preventivo|pratica|polizza|bolla|ddt|sinistro|prenotazione|"
    "factuur|bestelling|offerte|polis|klant|pakbon|zaak|lid"
)
# Whom or what a number is of, only where a word for `number` follows.
_OWNERS = (
    r"employee|staff|personnel|payroll|patient|hospital|student|pupil|p\.?o\.?|lading|consignment|licen[cs]e|"
    "permit|"
    "incident|loan|lease|subscription|matter|salarié|sécurité sociale|empleado|dipendente"
)
# Compounds that end in `nummer` or `nr` are references, but for these.
_NO_REFERENCES = (
    "telefon|telefoon|ruf|fax|handy|mobil|mobiel|durchwahl|haus|huis|steuer|konto|rekening|seiten|zimmer|kamer|teil|"
    "haupt|glücks|start"
)
_COMPOUNDS = (
    "rechnungs|auftrags|bestell|kunden|vertrags|lieferschein|angebots|vorgangs|beleg|versicherungs|policen|"
    "projekt|mitglieds|buchungs|referenz|dokument(?:en)?|quittungs|kassenbon|lieferanten|artikel|serien|mandats|"
    "gutschrifts|sendungs|auftragsbestätigungs"
)
_NUMBER = (
    r"(?:numbers?|nummer|n[uú]m[eé]ro|n[uú]m|nos?|nr|n(?=\.)|id|code|codice|código|ref(?:erence)?|[n№][°ºo]|№|#)"
    r"(?![^\W_])\.?"
)
_REFERENCE = r"(?:reference|referenz|référence|referencia|riferimento|réf|ref|rif)(?!\w)\.?"
_SIGNS = r"aktenzeichen|geschäftszeichen|(?:unser|ihr) zeichen|az\.|verwendungszweck|(?:ons |uw )?kenmerk"
_GAP = r"(?:[ \t]{0,3}|[ ]?\n)"
_MARKED = (
    rf"(?:(?:{_KINDS}|{_OWNERS})(?:['\u2019]s)?,?{_GAP}-?{_NUMBER}|(?:{_COMPOUNDS})-?{_GAP}(?:nummer|nr(?!\w)\.?)"
    rf"|(?!{_NO_REFERENCES})[^\W\d_]{{3,30}}-?(?:nummer|nr(?!\w)\.?)"
    rf"|{_NUMBER}{_GAP}(?:de |del |d['\u2019]|di |du |van )?(?:{_KINDS})"
    rf"|{_REFERENCE}(?:{_GAP}{_NUMBER})?|{_SIGNS})"
)
_BREAK = r"(?:\s(?:is|ist|lautet|est))?[ \t]{0,3}[:.]?(?:[ \t]{0,3}|[ ]?\n[ \t]{0,8})"
_PLAIN = r"[A-Za-z0-9](?:[A-Za-z0-9]|[./_\u2013-](?=[A-Za-z0-9])){0,39}+"
_VALUE = rf"(?P<value>(?:[A-Z]{{1,5}} (?=\d))?(?=[A-Za-z0-9./_\u2013-]{{0,39}}\d){_PLAIN})(?![\w@])"

_LABELLED = re.compile(rf"(?<!\w)(?i:{_MARKED}){_BREAK}[#]?{_VALUE}")
# Without a word for `number` the value itself has to look like one: letters and digits, or parted.
_COLON = re.compile(rf"(?<!\w)(?i:{_KINDS}){_GAP}:{_GAP}{_VALUE}")
_LETTERS_FIRST = r"[A-Z]{1,6}(?:[-/][A-Z]{1,6}){0,3}[-/]?\d"
_CODE = re.compile(rf"(?<!\w)(?i:{_KINDS}){_GAP}(?={_LETTERS_FIRST}|\d{{1,12}}[-/][A-Z0-9])(?i:{_VALUE})")
_REGISTERED = re.compile(
    r"(?<!\w)(?:(?:SIREN|SIRET|KvK|CVR)(?:[ -]?(?:No|Nr|nummer)\b\.?)?\W{0,3}(?P<value>\d[\d ]{4,18}\d)"
    r"|(?P<register>HR[AB][ ]?\d{2,6}))(?!\w)"
)
_BARE = re.compile(rf"(?<!\w)(?:No|Nr)\.{_GAP}(?P<value>\d{{5,20}}|[A-Z]{{1,4}}-?\d{{3,20}})(?!\w)")
_CREDITOR = re.compile(r"(?<!\w)RF\d\d(?: ?[A-Z0-9]{4}){0,5} ?[A-Z0-9]{1,4}(?!\w)")
_DATE = re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{2,4}|(?:19|20)\d\d-\d\d-\d\d")


def find(text: str) -> Iterator[Span]:
    """Yield reference numbers without their labels; normalised without spaces."""
    for pattern, score in ((_LABELLED, 0.95), (_COLON, 0.85), (_CODE, 0.8), (_REGISTERED, 0.9), (_BARE, 0.7)):
        for match in pattern.finditer(text):
            group = match.lastgroup or "value"
            value = match[group]
            if len(value) > 2 and not _DATE.fullmatch(value):
                yield Span("REFERENCE", *match.span(group), score, re.sub(r"\s", "", value))
    for match in _CREDITOR.finditer(text):
        compact = match[0].replace(" ", "")
        if mod97(compact[4:] + compact[:4]) == 1:
            yield Span("REFERENCE", *match.span(), 0.98, compact)
