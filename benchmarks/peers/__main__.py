"""Measure Millrace beside other queues: `python -m benchmarks.peers --short`.

Exit code 1 when a measurement raised; 2 for a wrong name. A peer that isn't installed is no failure.
"""

import argparse
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import anyio
from rich.console import Console

from benchmarks.ground import Form
from benchmarks.peers.measure import Outcome, measure
from benchmarks.peers.registry import PEERS, Entry
from benchmarks.peers.report import Row, figures, peers_table

WIDTH = 200
"""Columns of a table that goes into a file."""


def parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    made.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(names)}")
    made.add_argument("--short", action="store_true", help="a tenth of the time; figures scatter more")
    made.add_argument("--output", type=Path, default=Path("build/peers.json"))
    return made


def main(arguments: Sequence[str], peers: Sequence[Entry] = PEERS) -> int:
    """Measure what was asked for, of these peers; returns the exit code."""
    names = [entry.name for entry in peers]
    reader = parser(names)
    given = reader.parse_args(arguments)
    unknown = [name for name in given.names if name not in names]
    if unknown:
        reader.error(f"no peer is named {', '.join(unknown)}; there are: {', '.join(names)}")
    form = Form(short=given.short)
    rows = _rows([entry for entry in peers if not given.names or entry.name in given.names], form)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    entries = [figure.as_json() for figure in figures(rows)]
    given.output.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    console = Console(emoji=False)
    if not console.is_terminal:
        console = Console(emoji=False, width=WIDTH)
    console.print(peers_table(rows, form))
    console.print(f"written: {given.output}", soft_wrap=True, highlight=False)
    return 1 if any(row.error for row in rows) else 0


def _rows(entries: Sequence[Entry], form: Form) -> list[Row]:
    missing = {entry.name: entry.missing() for entry in entries}
    there = [entry for entry in entries if missing[entry.name] is None]
    outcomes = anyio.run(measure, there, form, _tell)
    return [_row(entry, missing[entry.name], outcomes.get(entry.name)) for entry in entries]


def _row(entry: Entry, missing: str | None, outcome: Outcome | None) -> Row:
    if isinstance(outcome, Exception):
        traceback.print_exception(outcome)
        return Row(entry, error=outcome)
    return Row(entry, reached=outcome, missing=missing)


def _tell(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)  # noqa: T201 -- progress


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
