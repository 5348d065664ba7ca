"""The chain that every peer runs: three stages that do nothing."""

DOCUMENT = "hi"
"""What is submitted: two bytes."""

RESULT = 3
"""What the last stage returns for it."""


def first(document: str) -> int:
    """Do nothing with a document of two bytes."""
    return len(document) - 1


def second(number: int) -> int:
    """Do nothing with what came before."""
    return number + 1


def third(number: int) -> int:
    """Do nothing, and end the chain."""
    return number + 1
