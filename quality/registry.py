"""Which parts are measured."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib import import_module

from quality.score import Score

Measure = Callable[[], AsyncIterator[Score]]


@dataclass(frozen=True, slots=True)
class Part:
    """A module with `async def measure() -> AsyncIterator[Score]`, which yields each as it is measured."""

    name: str
    what: str
    """What it shows, in a few words."""

    def load(self) -> Measure:
        """Import its module.

        Raises:
            ImportError: there is none, or it can't be imported.
        """
        module = import_module(self.name if "." in self.name else f"quality.{self.name}")
        measure: Measure = module.measure
        return measure


PARTS = (
    Part("ocr", "characters and words that are not what the page says"),
    Part("ner", "entities of labelled documents"),
)
"""In the order in which they run."""


def chosen(names: list[str]) -> list[Part]:
    """Return the parts of these names, all when there is none; a dotted name is a module elsewhere.

    Raises:
        ValueError: there is none of a name; the message says which there are.
    """
    if not names:
        return list(PARTS)
    known = {each.name: each for each in PARTS}
    unknown = [name for name in names if name not in known and "." not in name]
    if unknown:
        raise ValueError(f"no part is named {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known.get(name) or Part(name, name) for name in names]
