"""Tokens so far, as people see them."""

from pipeline import StageContext


class Tally:
    """What an attempt's answers have had so far, all requests added up, told as its progress.

    Of one request it is the progress itself, of unknown end; of several, which the chunks count, a note.
    """

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._tokens = 0
        self.several = False
        """Whether chunks are counted."""

    def heard(self, tokens: int) -> None:
        """An answer has so many more tokens."""
        self._tokens += tokens
        if self.several:
            self._context.note(f"{self._tokens:,} token{'' if self._tokens == 1 else 's'} so far")
        else:
            self._context.progress(self._tokens, unit="token")
