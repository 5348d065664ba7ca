"""TextRank: a sentence matters when it shares words with many sentences that matter."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W\d_]{4,}")  # shorter words are mostly grammar
_DAMPING = 0.7
"""Lower than for web pages, where 0.85 is usual: prose says early what it is about, so that a sentence's
place, which the rest depends on, tells more than its links do."""
_ROUNDS = 50
_LONGEST = 45
"""Words: a longer sentence shares words with many and still tells little in a summary."""
MAX_SENTENCES = 600
"""More are not ranked: work and memory grow with the square of their number."""


def best_sentences(sentences: Sequence[str], count: int) -> list[str]:
    """Return the `count` highest ranked of the first `MAX_SENTENCES`, in the order of the text."""
    sentences = [each for each in sentences[:MAX_SENTENCES] if len(each.split()) <= _LONGEST]
    if len(sentences) <= count:
        return sentences
    ranks = _ranks(_similarity(sentences))
    chosen = sorted(np.argsort(-ranks, kind="stable")[:count])
    return [sentences[index] for index in chosen]


def _similarity(sentences: Sequence[str]) -> NDArray[np.float64]:
    """Return the shared words of each two sentences, over the logarithms of their lengths."""
    words = [set(_WORD.findall(each.lower())) for each in sentences]
    columns = {word: column for column, word in enumerate(sorted(set().union(*words)))}
    occurs = np.zeros((len(sentences), len(columns)), dtype=np.float32)
    for row, each in enumerate(words):
        occurs[row, [columns[word] for word in each]] = 1
    lengths = np.log1p(occurs.sum(axis=1, dtype=np.float64))
    shared = (occurs @ occurs.T).astype(np.float64)
    np.fill_diagonal(shared, 0)
    # One is added so that two sentences without a word between them divide by something.
    similarity: NDArray[np.float64] = shared / (lengths[:, None] + lengths[None, :] + 1)
    return similarity


def _ranks(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the PageRank of each sentence, by power iteration."""
    count = len(similarity)
    start = 1 / np.sqrt(1 + np.arange(count))
    start /= start.sum()
    sums = similarity.sum(axis=1, keepdims=True)
    flow = np.divide(similarity, sums, out=np.tile(start, (count, 1)), where=sums > 0)
    ranks = start
    for _ in range(_ROUNDS):
        ranks = (1 - _DAMPING) * start + _DAMPING * (ranks @ flow)
    return ranks
