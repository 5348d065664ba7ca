"""Personal data out of the house's sight: `redact` masks it, `unmask` puts it back into an answer.

Between the two a stage such as the LLM's sees placeholders only. `secrets` says what is masked and by
what, `occurrences` where else it stands, `masking` rewrites text, pages and entities, `blackening` says
where the picture of a page has to be painted over.
"""

from stages.redact.stage import RedactParams, redact
from stages.redact.unmask import unmask

__all__ = ["RedactParams", "redact", "unmask"]
