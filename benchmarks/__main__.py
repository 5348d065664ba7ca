"""Benchmarks from the command line: `python -m benchmarks --short`.

Exit code 1 when a benchmark raised, and with `--strict` also when a target was missed; 2 for a wrong name.
"""

import argparse
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.ground import Form
from benchmarks.plot import draw
from benchmarks.registry import BENCHMARKS, Benchmark, chosen
from benchmarks.run import Result, run
from benchmarks.table import results_table

WIDTH = 160
"""Columns of a table that goes into a file."""


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("names", nargs="*", metavar="NAME", help="default: all; a.b is a module of your own")
    made.add_argument(
        "--short", action="store_true", help="two minutes for all but the slow ones; figures scatter more"
    )
    made.add_argument("--strict", action="store_true", help="exit code 1 also when a target was missed")
    made.add_argument("--output", type=Path, default=Path("build/bench.json"), help="pictures go beside it")
    made.add_argument("--list", action="store_true", help="say which there are, and run none")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; returns the exit code."""
    reader = parser()
    given = reader.parse_args(arguments)
    console = Console(emoji=False)
    if not console.is_terminal:
        console = Console(emoji=False, width=WIDTH)
    if given.list:
        for each in BENCHMARKS:
            console.print(f"{each.name:<12} {each.what}", highlight=False)
        return 0
    form = Form(short=given.short)
    try:
        benchmarks = chosen(given.names, form)
    except ValueError as error:
        reader.error(str(error))
    results = _run(benchmarks, form)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(_as_json(results), indent=2, ensure_ascii=False) + "\n")
    console.print(results_table(results, form))
    series = [each for result in results for each in result.series]
    written = [given.output, *draw(series, given.output.parent, given.output.stem)]
    seconds = sum(result.seconds for result in results)
    console.print(
        f"{seconds:.0f} s; written: {', '.join(map(str, written))}", soft_wrap=True, highlight=False
    )
    return _exit_code(results, strict=given.strict)


def _run(benchmarks: Sequence[Benchmark], form: Form) -> list[Result]:
    results = []
    progress = Console(stderr=True, emoji=False)
    for result in run(benchmarks, form, lambda each: progress.print(f"{each.name}: {each.what} …")):
        if result.error is not None:
            traceback.print_exception(result.error)
        results.append(result)
    return results


def _as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the entries of `bench.json`; that of a benchmark which raised has no value, and is not ok."""
    entries: list[dict[str, Any]] = []
    for result in results:
        entries += [figure.as_json() for figure in result.figures]
        if result.error is not None:
            empty = dict.fromkeys(("value", "unit", "reference", "ratio", "target", "bound"))
            note = f"{type(result.error).__name__}: {result.error}"
            entries.append({"name": result.benchmark.name, **empty, "ok": False, "note": note})
    return entries


def _exit_code(results: Sequence[Result], *, strict: bool) -> int:
    raised = any(result.error is not None for result in results)
    missed = any(figure.ok is False for result in results for figure in result.figures)
    return 1 if raised or (strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
