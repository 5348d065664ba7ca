"""How many tokens a text has for the model: asked of the endpoint, of a tokenizer's file, or estimated."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from anyio import to_thread
from pydantic import BaseModel, ValidationError

from pipeline import PermanentError
from stages.endpoint.settings import LlmSettings

DENSEST = 1 / 3
"""Tokens in a byte of UTF-8 while nothing is known: English has some 0.25, German 0.3, Chinese 0.3."""
_BOUNDS = 1 / 10, 1.0
"""What is believed of an endpoint's usage: what lies outside counts something else."""
_LEARNT = 32
_APART = 1000
"""Bytes by which two requests must differ to tell something."""


class _Counted(BaseModel):
    """llama.cpp lists the tokens, vLLM counts them too."""

    count: int | None = None
    tokens: list[Any] = []


@dataclass(slots=True)
class _Known:
    """What was found out about an endpoint and model."""

    tokenizes: bool = True
    """Whether it may have a `/tokenize`."""
    densities: deque[float] = field(default_factory=lambda: deque(maxlen=_LEARNT))
    before: tuple[str, int, int] | None = None
    """The last request's schema, bytes and tokens."""


_known: dict[tuple[str, str], _Known] = {}


class Counter:
    """Counts for one endpoint and model. What it finds out about them holds for the life of the process."""

    def __init__(self, http: httpx.AsyncClient, settings: LlmSettings, model: str, key: str) -> None:
        self._http = http
        self._model = model
        self._headers = {"authorization": f"Bearer {key}"}
        base = str(settings.base_url).rstrip("/")
        self._url = f"{base.removesuffix('/v1')}/tokenize"
        self._own = settings.tokenizer
        self._known = _known.setdefault((base, model), _Known())

    @property
    def density(self) -> float:
        """Tokens in a byte of UTF-8, rather too many: the most that the last requests showed."""
        return max(self._known.densities, default=DENSEST)

    def learn(self, schema: str, texts: Sequence[str], tokens: int) -> None:
        """Note that these texts together, sent as a prompt with a schema, were so many tokens.

        Two requests with one schema tell by what they differ in, whether their endpoint counts the schema
        or not.
        """
        size = sum(_size(text) for text in texts)
        if self._known.before is not None:
            before, other_size, other_tokens = self._known.before
            if before == schema and abs(size - other_size) >= _APART:
                density = (tokens - other_tokens) / (size - other_size)
                if _BOUNDS[0] <= density <= _BOUNDS[1]:
                    self._known.densities.append(density)
        if tokens:
            self._known.before = (schema, size, tokens)

    async def count(self, text: str) -> int:
        """Return how many tokens the text has.

        By the operator's tokenizer where there is one, else by the endpoint's `/tokenize` where it has
        that, else by an estimate.

        Raises:
            PermanentError: the tokenizer's file can't be used.
        """
        if self._own is not None:
            return await to_thread.run_sync(_encoded, self._own, text)
        if self._known.tokenizes:
            counted = await self._ask(text)
            if counted is not None:
                return counted
        return self.estimate(text)

    def estimate(self, text: str) -> int:
        """Return about how many, without asking anybody."""
        return int(_size(text) * self.density) + 1

    async def _ask(self, text: str) -> int | None:
        """Return the endpoint's own count; None, for good, where it has no such route.

        An endpoint that is away is no reason to fail here: the request proper will tell.
        """
        try:
            response = await self._http.post(
                self._url,
                json={"model": self._model, "prompt": text, "content": text},
                headers=self._headers,
            )
        except httpx.HTTPError:
            return None
        if response.status_code == 429 or response.status_code >= 500:
            return None
        counted = _counted(response)
        self._known.tokenizes = counted is not None
        return counted


def _counted(response: httpx.Response) -> int | None:
    if response.status_code != 200:
        return None
    try:
        counted = _Counted.model_validate_json(response.content)
    except ValidationError:
        return None
    return counted.count or len(counted.tokens) or None


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def _encoded(tokenizer: Path, text: str) -> int:
    return len(_tokenizer(tokenizer).encode(text, add_special_tokens=False).ids)


@lru_cache(maxsize=2)
def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise PermanentError(
            "MILLRACE_LLM_TOKENIZER needs tokenizers, which is not installed on this worker: run "
            "`pip install 'millrace[tokenizers]'`"
        ) from None
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower one
        raise PermanentError(
            f"MILLRACE_LLM_TOKENIZER: {path} is no tokenizer.json that can be read ({error})"
        ) from error
