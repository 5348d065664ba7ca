"""What `millrace verify` found and repaired, as tables."""

from rich.markup import escape
from rich.table import Table

from pipeline.store.audit import Finding
from pipeline.store.repair import Repair


def findings_table(findings: list[Finding]) -> Table:
    """Return a line for each promise."""
    table = Table("promise", "", "checked", "violations", "examples")
    for each in findings:
        mark = "[red]broken[/]" if each.violations else "[green]holds[/]"
        table.add_row(
            f"{each.promise} {each.title}",
            mark if each.checked else "nothing to check",
            str(each.checked),
            str(each.violations),
            escape("\n".join(each.examples)),
        )
    return table


def repairs_table(repairs: list[Repair]) -> Table:
    """Return a line for each promise of which something was repaired, or was left."""
    table = Table("promise", "repaired", "what", "left", "why, and what to do")
    for each in repairs:
        told = "\n".join(each.done), str(each.left), "\n".join(each.why)
        table.add_row(each.promise, str(each.repaired), *told)
    return table
