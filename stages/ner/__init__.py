"""Named entities: `ner`, the stage, with its `rules` engine beside it."""

from stages.ner.params import NerParams
from stages.ner.stage import ner

__all__ = ["NerParams", "ner"]
