"""E-mail addresses and URLs."""

import re
from collections.abc import Iterator

from stages.ner.span import Span

# Each starts only where its run of characters starts, so that a long run is read once, not from
# every one of its characters.
_EMAIL = re.compile(
    r"(?<![\w.%+-])[\w%+-](?:[\w.%+-]{0,63})@(?:[^\W_](?:[\w-]{0,62})\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)
_URL = re.compile(r"(?<![\w@./-])(?:https?://|www\.)[^\s<>\"'|\\^`{}«»„“”]{3,2000}", re.IGNORECASE)
# A bare domain counts where its last part can hardly be anything else.
_DOMAIN = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9](?:[a-z0-9-]{0,62})\.){1,4}"
    r"(?:com|org|net|info|biz|eu|de|at|ch|fr|nl|be|uk|ie|dk|se|es|io|example)"
    r"(?![\w@-]|\.\w)(?:/[^\s<>\"'|\\^`{}«»„“”]{0,2000})?"
)
_TRAILING = ".,;:!?…*"
_PAIRS = {")": "(", "]": "["}


def find(text: str) -> Iterator[Span]:
    """Yield e-mail addresses (normalised to lower case) and URLs (scheme and host in lower case)."""
    for match in _EMAIL.finditer(text):
        yield Span("EMAIL", match.start(), match.end(), 0.99, match[0].lower())
    for pattern, score in ((_URL, 0.97), (_DOMAIN, 0.85)):
        for match in pattern.finditer(text):
            url = _without_trailing(match[0])
            if "." in url:
                yield Span("URL", match.start(), match.start() + len(url), score, _normalize(url))


def _without_trailing(url: str) -> str:
    """Return the URL without the punctuation of the sentence around it."""
    unpaired = {closing: url.count(closing) - url.count(opening) for closing, opening in _PAIRS.items()}
    end = len(url)
    while end and (url[end - 1] in _TRAILING or unpaired.get(url[end - 1], 0) > 0):
        end -= 1
        if url[end] in unpaired:
            unpaired[url[end]] -= 1
    return url[:end]


def _normalize(url: str) -> str:
    if "://" not in url:
        url = f"https://{url}"
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}"
