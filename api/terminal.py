"""What the commands have in common: options, and how they print."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

out = Console(emoji=False)

Url = Annotated[str, typer.Option("--url", envvar="MILLRACE_URL", help="Where the API is.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

DEFAULT_URL = "http://127.0.0.1:8000"


def print_json(value: Any) -> None:
    """Print for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
