"""`millrace train-ner`: rounds as they go, then the report as a table."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stages.ner.samples import read
from stages.ner.training import LabelScore, Plan, Report
from stages.ner.training import train as run


def train(
    console: Console,
    samples: Path,
    dev: Path | None,
    output: Path,
    *,
    language: str,
    rounds: int,
    seed: int,
    quiet: bool,
) -> Report:
    """Train on the labelled texts of a file; what happens is printed unless `quiet`.

    Raises:
        PermanentError: a file or an option is wrong, or spaCy is missing; the message says what to do.
    """

    def told(number: int, f1: float) -> None:
        if not quiet:
            console.print(f"round {number}: F1 {100 * f1:.1f}", highlight=False)

    learnt, scored = read(samples), read(dev) if dev else None
    report = run(learnt, scored, output, Plan(language, rounds, seed, output.name), told)
    if not quiet:
        console.print(_table(report))
        console.print(f"written: {escape(str(output))}", highlight=False, soft_wrap=True)
    return report


def _table(report: Report) -> Table:
    title = (
        f"trained on {report.trained_on} texts, scored on {report.scored_on} others, "
        f"best after round {report.rounds}, in %"
    )
    table = Table("label", "precision", "recall", "f1", title=title)
    for label, score in {**report.labels, "all": report.total}.items():
        table.add_row(escape(label), *_percents(score))
    if report.misaligned:
        table.caption = f"{report.misaligned} mentions were left out: they begin or end inside a word"
    return table


def _percents(score: LabelScore) -> tuple[str, str, str]:
    return f"{100 * score.precision:.1f}", f"{100 * score.recall:.1f}", f"{100 * score.f1:.1f}"
