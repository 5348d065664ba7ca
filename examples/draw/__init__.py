"""Draws the example documents, and knows what they say.

Everybody and everything in them is invented: domains end in `.example`, IBANs are the registry's
published specimens, telephone numbers are from the ranges that regulators keep for fiction.
"""

import json
from pathlib import Path

from examples.draw import contract, invoice, letter, minutes, receipt

EXAMPLES = (invoice.EXAMPLE, contract.EXAMPLE, receipt.EXAMPLE, letter.EXAMPLE, minutes.EXAMPLE)


def truth() -> str:
    """Return the content of truth.json: what each file says, by file name."""
    said = {example.file: example.truth().as_json() for example in EXAMPLES}
    return json.dumps(said, ensure_ascii=False, indent=1) + "\n"


def write(folder: Path) -> None:
    """Write truth.json and all documents into an existing folder, over what is there."""
    (folder / "truth.json").write_text(truth(), encoding="utf-8")
    for example in EXAMPLES:
        (folder / example.file).write_bytes(example.content())
