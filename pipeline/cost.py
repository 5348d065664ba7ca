"""What a task takes of a rate, in units that its stage names, such as pages or LLM tokens."""

import math
import re
from dataclasses import dataclass

from pipeline.errors import DefinitionError

TASKS = "tasks"
"""The unit that no stage has to name: each attempt takes one as it begins."""

UNIT = re.compile(r"[a-z][a-z0-9-]{0,39}")
MOST_AMOUNT = 10**12
"""Of any unit, at once."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attempt is likely to use of a unit; at its end it says what it has, `StageContext.used`.

    Raises:
        DefinitionError: a unit or an amount that cannot be.
    """

    unit: str
    """Lower-case letters, digits and dashes: `tokens`, `pages`."""
    reserve: int = 1
    """Taken of a rate as the attempt begins."""
    per_byte: float = 0.0
    """Taken besides for each byte of the stage's input: of the document, or of the output before, as JSON."""

    def __post_init__(self) -> None:
        if not UNIT.fullmatch(self.unit) or self.unit == TASKS:
            raise DefinitionError(
                f"unit {self.unit!r}: use at most 40 lower-case letters, digits and dashes, and not {TASKS!r}"
            )
        if not (0 <= self.reserve <= MOST_AMOUNT and 0 <= self.per_byte <= MOST_AMOUNT):
            raise DefinitionError(f"a cost in {self.unit} is from 0 to {MOST_AMOUNT}")

    def of(self, size: int) -> int:
        """Return what is taken for an input of so many bytes."""
        return min(MOST_AMOUNT, self.reserve + math.ceil(self.per_byte * size))
