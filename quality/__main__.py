"""Quality from the command line: `python -m quality ocr`. What has been measured is told on stderr.

Exit code 1 when a floor was missed; 2 for a wrong name.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
from rich.console import Console

from quality.registry import PARTS, Part, chosen
from quality.score import Score
from quality.table import scores_table

WIDTH = 140
"""Columns of a table that goes into a file."""


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="python -m quality", description=__doc__)
    made.add_argument("names", nargs="*", metavar="NAME", help="default: all; a.b is a module of your own")
    made.add_argument("--output", type=Path, default=Path("build/quality.json"))
    made.add_argument("--list", action="store_true", help="say which there are, and run none")
    return made


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; returns the exit code."""
    reader = parser()
    given = reader.parse_args(arguments)
    console = Console(emoji=False)
    if not console.is_terminal:
        console = Console(emoji=False, width=WIDTH)
    if given.list:
        for each in PARTS:
            console.print(f"{each.name:<6} {each.what}", highlight=False)
        return 0
    try:
        parts = chosen(given.names)
    except ValueError as error:
        reader.error(str(error))
    measured = {part.name: _measured(part, console) for part in parts}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    entries = {name: [score.as_json() for score in scores] for name, scores in measured.items()}
    given.output.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(f"written: {given.output}", soft_wrap=True, highlight=False)
    return 1 if any(score.ok is False for scores in measured.values() for score in scores) else 0


def _measured(part: Part, console: Console) -> list[Score]:
    scores = anyio.run(_told, part)
    console.print(scores_table(part, scores))
    return scores


async def _told(part: Part) -> list[Score]:
    scores = []
    progress = Console(stderr=True, emoji=False, markup=False, highlight=False, soft_wrap=True)
    async for score in part.load()():
        scores.append(score)
        progress.print(f"{part.name}: {score.sample}, {score.engine}")
    return scores


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
