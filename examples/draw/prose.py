"""The long texts, kept in files beside the code."""

from pathlib import Path

FOLDER = Path(__file__).with_name("text")


def paragraphs(name: str) -> list[str]:
    """Return the paragraphs of `text/NAME.txt`; empty lines part them."""
    text = (FOLDER / f"{name}.txt").read_text("utf-8")
    return [paragraph.strip() for paragraph in text.split("\n\n")]
