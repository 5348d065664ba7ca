"""What a scanner and a camera do to paper."""

from collections.abc import Sequence

import numpy as np
import pypdfium2 as pdfium
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.float32]
"""Grey or RGB, 0 to 255."""


def render(pdf: bytes, index: int, dpi: int) -> Image.Image:
    """Return the PDF's page of that index as a clean grey image."""
    with pdfium.PdfDocument(pdf) as document:
        page: Image.Image = document[index].render(scale=dpi / 72, grayscale=True).to_pil()
    return page


def scan(page: Image.Image, *, seed: int, most_skew: float = 1.2) -> Image.Image:
    """Return the grey page as a flatbed scanner sees it.

    Skewed by up to `most_skew` degrees, a little blurred, unevenly lit, noisy, with dust and the
    shadow of the lid along one edge.
    """
    random = np.random.default_rng(seed)
    angle = random.choice([-1, 1]) * random.uniform(0.25, most_skew)
    turned = page.rotate(angle, Image.Resampling.BICUBIC, fillcolor=250)
    soft = turned.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 0.8)))
    pixels = 28 + np.asarray(soft, np.float32) * (214 / 255)
    pixels *= light(pixels.shape, random, depth=0.08)
    pixels *= _lid(pixels.shape, random)
    pixels += random.normal(0, 3.5, pixels.shape).astype(np.float32)
    _dust(pixels, random, specks=60)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def bilevel(page: Image.Image, *, seed: int, most_skew: float = 0.6) -> Image.Image:
    """Return the grey page as a black-and-white scanner sees it, with ragged edges and specks."""
    random = np.random.default_rng(seed)
    turned = page.rotate(random.uniform(-most_skew, most_skew), Image.Resampling.BICUBIC, fillcolor=255)
    pixels = np.asarray(turned.filter(ImageFilter.GaussianBlur(1.0)), np.float32).copy()
    pixels += random.normal(0, 14, pixels.shape).astype(np.float32)
    _dust(pixels, random, specks=150)
    return Image.fromarray(pixels > 140)


def light(shape: Sequence[int], random: np.random.Generator, *, depth: float) -> Pixels:
    """Return factors from `1 - depth` to 1 for every pixel: smooth, uneven lighting."""
    coarse = random.uniform(0, 255, (4, 3)).astype(np.uint8)
    smooth = Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return (1 - depth * np.asarray(smooth, np.float32) / 255).astype(np.float32)


def _lid(shape: Sequence[int], random: np.random.Generator) -> Pixels:
    """Return the shadow along the left edge, some 3 mm wide at 200 dpi."""
    across = np.arange(shape[1])
    shadow = 1 - random.uniform(0.3, 0.6) * np.exp(-across / random.uniform(8, 18))
    return shadow.astype(np.float32)[None, :]


def _dust(pixels: Pixels, random: np.random.Generator, *, specks: int) -> None:
    height, width = pixels.shape
    for _ in range(specks):
        y, x, size = random.integers(height), random.integers(width), random.integers(1, 4)
        pixels[y : y + size, x : x + size] -= random.uniform(40, 150)
