"""How far an attempt is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is, as people see it."""

    done: int
    total: int | None = None
    """None while it is not known."""
    unit: str = "part"
    note: str | None = None
    """What else is to be seen, in a few words."""
