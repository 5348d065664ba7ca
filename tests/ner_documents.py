"""Documents for tests of the NER and redact stages: words with boxes, from plain texts."""

from stages.outputs import OcrOutput, Page, Word


def document(*texts: str) -> OcrOutput:
    """Return pages of these texts; each word 10 wide a character and 12 high, each line 20 below the last."""
    pages: list[Page] = []
    start = 0
    for number, text in enumerate(texts, 1):
        words, offset = [], 0
        for row, line in enumerate(text.split("\n")):
            column = 0
            for word in line.split(" "):
                if word:
                    place = offset + column
                    box = (10 * column, 20 * row, 10 * (column + len(word)), 20 * row + 12)
                    words.append(Word(text=word, start=place, end=place + len(word), box=box))
                column += len(word) + 1
            offset += len(line) + 1
        pages.append(
            Page(number=number, text=text, method="text", start=start, words=words, width=1000, height=500)
        )
        start += len(text) + 1
    return OcrOutput(text="\f".join(texts), pages=pages, engine="text")
