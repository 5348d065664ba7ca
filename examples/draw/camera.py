"""What a telephone's camera makes of a slip of paper on a wooden table."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from examples.draw.scanner import Pixels, light

SIZE = (1512, 2016)
"""Pixels of the photo."""
CORNERS = ((372, 150), (1130, 172), (1200, 1884), (282, 1852))
"""Where the paper's corners lie in the photo, clockwise from its top left."""


def photograph(paper: Image.Image, *, seed: int) -> Image.Image:
    """Return a colour photo of the grey paper: in perspective, creased, unevenly lit, noisy."""
    random = np.random.default_rng(seed)
    table = Image.fromarray(_wood(random))
    slip = _place(_crease(paper, random))
    mask = _place(Image.new("L", paper.size, 255))
    shadow = ImageChops.offset(mask, 16, 20).filter(ImageFilter.GaussianBlur(14))
    table.paste(Image.new("RGB", SIZE, (24, 14, 8)), mask=shadow.point(lambda value: value * 0.62))
    warm = Image.merge(
        "RGB", [slip.point(lambda value, gain=gain: value * gain) for gain in (0.97, 0.95, 0.9)]
    )
    table.paste(warm, mask=mask.filter(ImageFilter.GaussianBlur(0.8)))
    pixels = np.asarray(table.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    pixels = pixels * light((SIZE[1], SIZE[0]), random, depth=0.38)[:, :, None]
    pixels = pixels + random.normal(0, 4, pixels.shape).astype(np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _place(paper: Image.Image) -> Image.Image:
    """Put a flat picture into the photo's perspective; black around it."""
    width, height = paper.size
    flat = ((0, 0), (width, 0), (width, height), (0, height))
    return paper.transform(
        SIZE, Image.Transform.PERSPECTIVE, _homography(CORNERS, flat), Image.Resampling.BICUBIC
    )


def _homography(source: Sequence[tuple[int, int]], target: Sequence[tuple[int, int]]) -> list[float]:
    """Return the eight coefficients that map four source points onto four target points."""
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    coefficients: list[float] = np.linalg.solve(np.array(rows), np.array(target).ravel()).tolist()
    return coefficients


def _crease(paper: Image.Image, random: np.random.Generator) -> Image.Image:
    """Shade the paper as if it had been rolled and folded; thermal print fades in places."""
    pixels = np.asarray(paper, np.float32)
    height = pixels.shape[0]
    down = np.arange(height, dtype=np.float32)
    shade = 1 - 0.03 * np.sin(down / height * 9)
    for fold in (0.36, 0.71):
        distance = (down - fold * height) / 22
        shade -= 0.10 * np.exp(-(distance**2)) * np.sign(distance)
    faded = 20 + 30 * light(pixels.shape, random, depth=1.0)
    lit = (faded + pixels * (246 - faded) / 255) * shade[:, None]
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def _wood(random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a table top: wavy grain along the photo's width, boards with dark joints."""
    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wave = y + 14 * np.sin(x / 310 + 0.4) + 6 * np.sin(x / 127 + y / 260)
    grain: Pixels = np.zeros((height, width), np.float32)
    for scale, weight in ((3.1, 5.0), (7.9, 7.0), (23.0, 10.0)):
        table = random.normal(0, weight, int((height + 200) / scale) + 2).astype(np.float32)
        grain += np.interp((wave + 60) / scale, np.arange(len(table)), table).astype(np.float32)
    joint = -55 * np.exp(-(((y % 504) - 250) ** 2) / 12)
    tone = np.array([139, 98, 64], np.float32)
    wood: Pixels = tone + (grain + joint)[:, :, None] * np.array([1.0, 0.85, 0.65], np.float32)
    return np.clip(wood, 0, 255).astype(np.uint8)
