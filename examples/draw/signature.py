"""Signatures: a pen's line that belongs to nobody."""

import numpy as np
from reportlab.lib.colors import Color
from reportlab.pdfgen.canvas import Canvas

INK = Color(0.09, 0.13, 0.36)


def sign(canvas: Canvas, x: float, y: float, width: float, *, seed: int) -> None:
    """Draw a signature of that width, in points, from `x` on along the baseline `y`."""
    random = np.random.default_rng(seed)
    time = np.linspace(0, 1, 400)
    loops = random.uniform(6, 9)
    phase = random.uniform(0, 2 * np.pi, 3)
    tall = 0.16 * width * (np.exp(-(((time - 0.06) / 0.07) ** 2)) * 0.9 + 0.4 * (1 - time) ** 0.7)
    along = width * (0.04 + 0.8 * time + 0.055 * np.sin(2 * np.pi * loops * time + phase[0]))
    up = tall * (
        np.sin(2 * np.pi * loops * time + phase[1]) + 0.5 * np.sin(2 * np.pi * 2.7 * time + phase[2])
    )
    canvas.saveState()
    canvas.setStrokeColor(INK)
    canvas.setLineCap(1)
    canvas.setLineJoin(1)
    canvas.setLineWidth(1.1)
    path = canvas.beginPath()
    path.moveTo(x + along[0], y + up[0])
    for right, rise in zip(along[1:], up[1:], strict=True):
        path.lineTo(x + right, y + rise)
    canvas.drawPath(path)
    flourish = canvas.beginPath()
    flourish.moveTo(x + along[-1], y + up[-1])
    flourish.curveTo(x + width, y + 4, x + 0.7 * width, y - 0.12 * width, x + 0.2 * width, y - 0.07 * width)
    canvas.drawPath(flourish)
    canvas.restoreState()
