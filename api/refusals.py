"""How a command ends when it can't do what was asked."""

import sys

import typer
from pydantic import ValidationError

from pipeline.errors import MillraceError

REFUSED = (MillraceError, ValidationError)
"""What a user can act on; anything else is a fault of ours, with its trace."""


def run(app: typer.Typer) -> None:
    """Run a command line; errors that a user can act on are one line and exit code 1."""
    try:
        app()
    except REFUSED as error:
        refuse(error)
        sys.exit(1)


def refuse(error: Exception) -> None:
    """Say why, in one line to standard error."""
    from rich.console import Console
    from rich.markup import escape

    told = escape(" ".join(str(error).split()))
    Console(stderr=True, emoji=False).print(f"[red]millrace:[/] {told}", highlight=False, soft_wrap=True)
