"""The table that people read."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from quality.registry import Part
from quality.score import Floor, Score

_SIGN = {"at least": "≥", "at most": "≤"}
_VERDICT = {None: "", True: "[green]yes[/]", False: "[red]NO[/]"}


def scores_table(part: Part, scores: Sequence[Score]) -> Table:
    """Return a part's table, measures in percent."""
    table = Table(title=escape(f"{part.name}: {part.what}, in %"))
    table.add_column("sample", no_wrap=True)
    table.add_column("engine", no_wrap=True)
    measures = list(scores[0].measures) if scores else []
    for heading in (*measures, "floor"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ok", no_wrap=True)
    table.add_column("note", ratio=1, overflow="fold")
    for score in scores:
        values = [f"{100 * score.measures[name]:.1f}" for name in measures]
        floor = _floor(score.floor)
        table.add_row(
            escape(score.sample), score.engine, *values, floor, _VERDICT[score.ok], escape(score.note)
        )
    return table


def _floor(floor: Floor | None) -> str:
    return f"{floor.measure} {_SIGN[floor.bound]} {100 * floor.limit:g}" if floor else ""
