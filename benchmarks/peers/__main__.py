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
from benchmarks.peers.measure import measure
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
    rows = [_row(entry, form) for entry in peers if not given.names or entry.name in given.names]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    entries = [figure.as_json() for figure in figures(rows)]
    given.output.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    console = Console(emoji=False)
    if not console.is_terminal:
        console = Console(emoji=False, width=WIDTH)
    console.print(peers_table(rows, form))
    console.print(f"written: {given.output}", soft_wrap=True, highlight=False)
    return 1 if any(row.error for row in rows) else 0


def _row(entry: Entry, form: Form) -> Row:
    missing = entry.missing()
    if missing is not None:
        return Row(entry, missing=missing)
    print(f"{entry.title} …", file=sys.stderr, flush=True)  # noqa: T201 -- progress
    try:
        return Row(entry, reached=anyio.run(measure, entry, form))
    except Exception as error:  # noqa: BLE001 -- the table tells of it, and the others are still measured
        traceback.print_exception(error)
        return Row(entry, error=error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
