"""The table, and the figures of `peers.json`."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from benchmarks.figure import Figure
from benchmarks.ground import Form
from benchmarks.peers.measure import Reached
from benchmarks.peers.registry import Entry
from benchmarks.table import number

OURS = "millrace"
TARGET = 2.0
"""Millrace's chains/s divided by those of the fastest other one."""

Report = Mapping[str, "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one peer: exactly one of the three is set."""

    entry: Entry
    reached: Reached | None = None
    missing: str | None = None
    """The command that installs it."""
    error: Exception | None = None

    @property
    def why_not(self) -> str:
        """Why nothing was measured."""
        return (
            f"not installed: {self.missing}" if self.missing else f"{type(self.error).__name__}: {self.error}"
        )


def peers_table(rows: list[Row], form: Form) -> Table:
    """Return a table with a row for every peer, the fastest first."""
    table = Table(
        title="three stages that do nothing, short form" if form.short else "three stages that do nothing"
    )
    table.add_column("peer", no_wrap=True)
    for heading in ("chains/s", "p50 ms", "p99 ms", "Millrace's ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("setting", justify="right")
    table.add_column("versions", ratio=1)
    table.add_column("durability", ratio=2)
    ours = _ours(rows)
    for row in sorted(rows, key=lambda row: -row.reached.throughput if row.reached else 0):
        if row.reached is None:
            table.add_row(row.entry.title, "", "", "", "", "", "", escape(row.why_not))
            continue
        reached = row.reached
        table.add_row(
            row.entry.title,
            *(number(value) for value in (reached.throughput, reached.p50, reached.p99)),
            "" if ours is None else f"{ours.throughput / reached.throughput:.2f}",
            reached.setting,
            reached.versions,
            reached.durability,
        )
    return table


def figures(rows: list[Row]) -> list[Figure]:
    """Return each peer's figures, and Millrace's beside the fastest other one's when both were measured."""
    made = [figure for row in rows if row.reached for figure in _of(row.entry, row.reached)]
    others = [row for row in rows if row.reached and row.entry.name != OURS]
    ours = _ours(rows)
    if ours is None or not others:
        return made
    fastest = max(others, key=_throughput)
    compared = Figure(
        "peers.throughput",
        ours.throughput,
        "chains/s",
        reference=_throughput(fastest),
        target=TARGET,
        note=f"the fastest other one is {fastest.entry.title}",
    )
    return [compared, *made]


def _of(entry: Entry, reached: Reached) -> list[Figure]:
    note = f"{reached.versions}; setting {reached.setting}; {reached.durability}"
    return [
        Figure(f"peers.{entry.name}.throughput", reached.throughput, "chains/s", note=note),
        Figure(f"peers.{entry.name}.p50", reached.p50, "ms", note=note),
        Figure(f"peers.{entry.name}.p99", reached.p99, "ms", note=note),
    ]


def _ours(rows: list[Row]) -> Reached | None:
    return next((row.reached for row in rows if row.entry.name == OURS), None)


def _throughput(row: Row) -> float:
    return row.reached.throughput if row.reached else 0.0
