"""What the commands of the command line share: options, and how they print."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[str, typer.Option("--url", envvar="MILLRACE_URL", help="Where the API is.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
JobId = Annotated[str, typer.Argument(help="A job's id.")]

out = Console(emoji=False)


def read_params(text: str) -> Any:
    """Read params by stage, as given to a command.

    Raises:
        BadParameter: they are no JSON object.
    """
    try:
        params = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--params is no JSON: {error}") from error
    if not isinstance(params, dict):
        raise typer.BadParameter('--params is by stage: {"ocr": {"dpi": 300}}')
    return params


def print_json(value: Any) -> None:
    """Print a value for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
