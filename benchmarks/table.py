"""The table that people read."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from benchmarks.figure import Figure
from benchmarks.ground import Form
from benchmarks.run import Result

_SIGN = {"at least": "≥", "at most": "≤"}
_VERDICT = {None: "", True: "[green]yes[/]", False: "[red]NO[/]"}


def results_table(results: Sequence[Result], form: Form) -> Table:
    """Return a table with a section for each benchmark: its figures, or why there are none."""
    table = Table(title="benchmarks, short form" if form.short else "benchmarks")
    table.add_column("what", no_wrap=True)
    for heading in ("figure", "reference", "ratio", "target"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ok", no_wrap=True)
    table.add_column("note", ratio=1, overflow="fold")
    for result in results:
        table.add_section()
        for figure in result.figures:
            table.add_row(*_row(figure))
        if result.error is not None:
            reason = f"{type(result.error).__name__}: {result.error}"
            table.add_row(result.benchmark.name, "", "", "", "", "[red]raised[/]", escape(reason))
        table.add_row("", "", "", "", "", "", _time(result, form), style="dim")
    return table


def number(value: float) -> str:
    """Return a value with three significant digits, and all of a large one's."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _row(figure: Figure) -> list[str]:
    return [
        figure.name,
        f"{number(figure.value)} {escape(figure.unit)}",
        "" if figure.reference is None else number(figure.reference),
        "" if figure.ratio is None else number(figure.ratio),
        "" if figure.target is None else f"{_SIGN[figure.bound]} {number(figure.target)}",
        _VERDICT[figure.ok],
        escape(figure.note),
    ]


def _time(result: Result, form: Form) -> str:
    budget = result.benchmark.budget(form)
    over = f", over its budget of {budget:g} s" if result.seconds > budget else ""
    return f"{result.benchmark.name} took {result.seconds:.1f} s{over}"
