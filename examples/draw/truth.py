"""What a document says: the answer that recognition and extraction are measured against."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Mention = tuple[str, str]
"""Label and text, as in `("PERSON", "Jo Blake")`."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What one document says.

    `pages` holds the pages' texts in reading order, one drawn line a line: columns one after the
    other, table rows as lines, empty lines between blocks.
    """

    type: str
    """invoice, receipt, contract, letter or report."""
    pages: Sequence[str]
    mentions: Sequence[Mention]
    fields: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the plain values that truth.json holds.

        Raises:
            ValueError: a mention occurs on no page; it is named.
        """
        return {
            "type": self.type,
            "pages": [{"number": number, "text": text} for number, text in enumerate(self.pages, 1)],
            "entities": self._entities(),
            "fields": dict(self.fields),
        }

    def _entities(self) -> list[dict[str, Any]]:
        """Give every mention once for each page that has it; a part of a longer mention is none."""
        longest_first = sorted(self.mentions, key=lambda mention: -len(mention[1]))
        found: list[tuple[int, int, Mention]] = []
        for number, text in enumerate(self.pages, 1):
            rest = " ".join(text.split())
            for mention in longest_first:
                pattern = rf"(?<!\w){re.escape(mention[1])}(?!\w)"
                if match := re.search(pattern, rest):
                    found.append((number, match.start(), mention))
                    rest = re.sub(pattern, lambda hit: "\0" * len(hit[0]), rest)
        missing = {text for _, text in self.mentions} - {text for _, _, (_, text) in found}
        if missing:
            raise ValueError(f"nowhere in the text: {sorted(missing)}")
        return [{"label": label, "text": text, "page": page} for page, _, (label, text) in sorted(found)]


@dataclass(frozen=True, slots=True)
class Example:
    """One example document: its file name, what it says, and how its bytes are made."""

    file: str
    truth: Callable[[], Truth]
    """Cheap: nothing is rasterised."""
    content: Callable[[], bytes]
