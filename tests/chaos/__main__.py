"""Chaos from the command line: `python -m tests.chaos --minutes 60`; exit code 1 when a promise is broken."""

import argparse
import json
import logging
import secrets
import shutil
import sys
from pathlib import Path

import anyio
from rich.console import Console
from rich.table import Table

from tests.chaos.run import Plan, Report, run

BUILD = Path("build")


def plan(arguments: list[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of an earlier run")
    parser.add_argument("--every", type=float, nargs=2, default=(5, 40), help="seconds between two faults")
    parser.add_argument("--rate", type=float, default=1.2, help="documents in a second")
    parser.add_argument("--members", type=int, choices=(1, 3), default=3, help="of the replica set")
    given = parser.parse_args(arguments)
    return Plan(given.minutes, given.seed, tuple(given.every), given.rate, given.members)


def show(report: Report) -> None:
    table = Table(title=f"chaos, {report.minutes:g} minutes, seed {report.seed}", show_header=False)
    for name, value in report.as_json().items():
        if isinstance(value, dict):
            table.add_row(name, "\n".join(f"{key}: {each}" for key, each in sorted(value.items())))
        elif name not in ("seed", "minutes", "violations"):
            table.add_row(name, str(value))
    console = Console()
    console.print(table)
    for violation in report.violations:
        console.print(f"[red]broken:[/] {violation}", soft_wrap=True)
    console.print("every promise held" if not report.violations else f"{len(report.violations)} violations")


def main() -> None:
    chosen = plan(sys.argv[1:])
    logging.basicConfig(format="%(message)s")
    log = logging.getLogger("millrace.chaos")
    log.setLevel(logging.INFO)
    log.info("seed %d", chosen.seed)
    folder = BUILD / "chaos"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    report = anyio.run(run, chosen, folder.resolve())
    (BUILD / "chaos.json").write_text(json.dumps(report.as_json(), indent=2) + "\n")
    show(report)
    if report.violations:
        sys.exit(1)


if __name__ == "__main__":
    main()
