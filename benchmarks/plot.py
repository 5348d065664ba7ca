"""The pictures: throughput against worker processes, and how latencies are distributed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.figure import Plot, Series

mpl.use("agg")

_SIZE = (7.0, 4.2)
"""Inches."""
_COLOURS = ("#1f5fa8", "#d9822b", "#4b8b3b", "#8a4f9e")
_TAIL = 0.999
"""The part of a sample that is drawn: one stray value would press the rest against the axis."""


def draw(series: Sequence[Series], folder: Path, stem: str) -> list[Path]:
    """Draw every plot for which there are series, as SVG and as PNG; returns the files written."""
    written = []
    for name, axes_of in _PLOTS.items():
        lines = [each for each in series if each.plot == name]
        if not lines:
            continue
        canvas = Canvas(figsize=_SIZE, layout="constrained")
        axes_of(canvas.subplots(), lines)
        for suffix in ("svg", "png"):
            file = folder / f"{stem}-{name}.{suffix}"
            canvas.savefig(file, dpi=150)
            written.append(file)
    return written


def _workers(axes: Axes, lines: Sequence[Series]) -> None:
    """Draw y over x; the ticks are the numbers that were measured."""
    for line, colour in zip(lines, _COLOURS, strict=False):
        x = [float(each) for each in line.x or range(1, len(line.y) + 1)]
        axes.plot(x, line.y, "o-", label=line.label, color=colour)
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [f"{each:g}" for each in x])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    _finish(axes, "Throughput against worker processes", "worker processes", "chains/s")


def _latency(axes: Axes, lines: Sequence[Series]) -> None:
    """Draw the share of a sample that is at most so large."""
    for line, colour in zip(lines, _COLOURS, strict=False):
        values = sorted(line.y)
        shares = [100 * position / len(values) for position in range(1, len(values) + 1)]
        drawn = max(1, int(_TAIL * len(values)))
        median = values[len(values) // 2]
        label = f"{line.label}, median {median:.1f} ms"
        axes.step(values[:drawn], shares[:drawn], where="post", label=label, color=colour)
        axes.plot([median], [50], "o", color=colour)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 101)
    _finish(axes, "Latency of a job on an idle worker", "milliseconds", "% of jobs that were done by then")


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


_PLOTS: dict[Plot, Callable[[Axes, Sequence[Series]], None]] = {"workers": _workers, "latency": _latency}
