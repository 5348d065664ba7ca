"""Signatures: a pen's line that belongs to nobody."""

import numpy as np
from numpy.typing import NDArray
from reportlab.lib.colors import Color
from reportlab.pdfgen.canvas import Canvas

INK = Color(0.09, 0.13, 0.36)


def sign(canvas: Canvas, x: float, y: float, width: float, *, seed: int) -> None:
    """Draw a signature of that width, in points, from `x` on along the baseline `y`."""
    points = _turns(np.random.default_rng(seed)) * width + np.array([x, y])
    canvas.saveState()
    canvas.setStrokeColor(INK)
    canvas.setLineCap(1)
    canvas.setLineJoin(1)
    canvas.setLineWidth(1.1)
    path = canvas.beginPath()
    path.moveTo(*points[1])
    # A Catmull-Rom spline through the points, as Bézier curves.
    for before, start, end, after in zip(points, points[1:], points[2:], points[3:], strict=False):
        path.curveTo(*(start + (end - before) / 5), *(end - (after - start) / 5), *end)
    canvas.drawPath(path)
    canvas.restoreState()


def _turns(random: np.random.Generator) -> NDArray[np.float64]:
    """Return the points where the pen turns, as shares of the width: capital, loops, last stroke."""
    letters = int(random.integers(7, 11))
    tops = random.uniform(0.02, 0.07, letters)
    tops[0] = random.uniform(0.17, 0.24)
    tops[random.integers(3, letters)] *= 2.2
    bottoms = random.normal(0, 0.012, letters)
    bottoms[random.integers(0, letters)] -= random.uniform(0.05, 0.12)
    places = np.linspace(0.03, 0.85, letters) + random.normal(0, 0.015, letters)
    points = [(0.0, 0.0), (0.02, 0.04)]
    for place, top, bottom in zip(places, tops, bottoms, strict=True):
        points += [(place + 0.045 + top / 4, top), (place + random.uniform(-0.03, 0.03), bottom)]
    points += [(0.93, 0.02), (1.0, 0.05), (random.uniform(0.4, 0.7), -0.05), (0.2, -0.07), (0.1, -0.07)]
    return np.array(points)
