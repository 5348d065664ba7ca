"""Where commands print."""

import json
import sys
from typing import Any

from rich.console import Console

out = Console(emoji=False)


def print_json(value: Any) -> None:
    """Print JSON, for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
