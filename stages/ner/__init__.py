"""Named entities: `ner`, the stage, with its engines beside it.

`engine` says what an engine is and opens one; `rules` is the default, with a module for each label.
`merge` makes one list of what several found, `groups` puts mentions of one thing together.
"""

from stages.ner.params import NerParams
from stages.ner.settings import NerSettings
from stages.ner.stage import ner

__all__ = ["NerParams", "NerSettings", "ner"]
