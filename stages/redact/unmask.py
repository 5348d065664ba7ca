"""The stage that puts back: from an answer about a redacted document to one that names what was masked."""

import re
from typing import Any

from pipeline import PermanentError, StageContext, stage
from stages.outputs import LlmOutput, MaskedMention, RedactedOutput


@stage(name="unmask", version=1)
async def unmask(answer: LlmOutput, context: StageContext) -> LlmOutput:
    """Put what the placeholders stand for back into the answer, wherever they are in it.

    A quote gets the words that stood there, everything else the fullest name. A placeholder that the
    document does not have, as a model may make one up, stays.

    Raises:
        PermanentError: the originals were not kept.
    """
    redacted = await context.output(RedactedOutput)
    if any(each.name is None for each in redacted.masks):
        raise PermanentError("nothing can be unmasked: the job's redact stage had `keep_originals` off")
    return LlmOutput.model_validate(Originals(redacted).restored(answer.model_dump()))


class Originals:
    """What the placeholders of one document stand for."""

    def __init__(self, redacted: RedactedOutput) -> None:
        self._text = redacted.text
        self._mentions = redacted.mentions
        self._names = {each.placeholder[1:-1]: each.name or "" for each in redacted.masks}
        # Models leave out the brackets now and then.
        words = "|".join(sorted(self._names, key=len, reverse=True))
        self._pattern = re.compile(rf"\[(?P<a>{words})\]|(?<!\w)(?P<b>{words})(?!\w)") if words else None

    def restored(self, value: Any) -> Any:
        """Return a JSON value with the originals in all its strings; keys stay."""
        if isinstance(value, dict):
            return {
                key: self._quote(each) if key == "quote" and isinstance(each, str) else self.restored(each)
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [self.restored(each) for each in value]
        return self._named(value) if isinstance(value, str) else value

    def _named(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._names[match["a"] or match["b"]], text)

    def _quote(self, quote: str) -> str:
        """Return the words that stood where the quote is; by the names when it is not in the text."""
        words = r"\s+".join(map(re.escape, quote.split()))
        place = re.search(words, self._text) if words else None
        if place is None:
            return self._named(quote)
        inside = [
            each for each in self._mentions if place.start() <= each.start and _end(each) <= place.end()
        ]
        restored, last = [], place.start()
        for each in inside:
            restored += [self._text[last : each.start], each.text or ""]
            last = _end(each)
        return "".join([*restored, self._text[last : place.end()]])


def _end(mention: MaskedMention) -> int:
    return mention.start + len(mention.placeholder)
