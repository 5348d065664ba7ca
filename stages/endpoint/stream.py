"""An answer that comes piece by piece, put together as if it had come whole."""

import json
from collections.abc import Callable
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import BaseModel, ValidationError

from pipeline import TemporaryError
from stages.endpoint.faults import reported

Heard = Callable[[int], None]
"""Takes how many more tokens an answer has; less than none where they had been counted too high."""

_END = "[DONE]"


class _Delta(BaseModel):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(BaseModel):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(BaseModel, extra="allow"):
    completion_tokens: int = 0


class _Piece(BaseModel):
    choices: list[_Choice] = []
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None


class _Whole(BaseModel):
    choices: Any = None
    error: Any = None


async def receive(response: httpx.Response, heard: Heard) -> bytes:
    """Return the body of a chat completion, also where it is streamed, telling of its tokens meanwhile.

    A piece counts as one token, which it is with most servers, until the endpoint itself gives a number.

    Raises:
        openai.APIStatusError: an error that came inside of the answer.
        TemporaryError: the stream ended too soon, or has something else in it.
        httpx.HTTPError: the connection failed.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream":
        return _whole(await response.aread(), response)
    answer = _Answer(heard)
    async for event in EventSource(response).aiter_sse():
        if event.data == _END:
            return answer.body()
        if event.data:
            answer.add(_piece(event, response))
    if not answer.finished:
        raise TemporaryError("the LLM endpoint broke off its answer before the end")
    return answer.body()


def _whole(body: bytes, response: httpx.Response) -> bytes:
    """Return an answer that came whole, unless it reports an error: some gateways do with a status of 200."""
    try:
        read = _Whole.model_validate_json(body)
    except ValidationError:
        return body  # whatever it is, it is refused where it is read
    if read.error is not None and not read.choices:
        raise reported(read.error, response)
    return body


def _piece(event: ServerSentEvent, response: httpx.Response) -> _Piece:
    try:
        piece = _Piece.model_validate_json(event.data)
    except ValidationError as error:
        if event.event == "error":
            raise reported({}, response) from None
        kind = error.errors(include_input=False, include_url=False, include_context=False)[0]["type"]
        # Not chained: a validation error repeats what it refused.
        raise TemporaryError(f"a piece of the LLM endpoint's answer is no chat completion: {kind}") from None
    if piece.error is not None or event.event == "error":
        raise reported(piece.error, response)
    return piece


class _Answer:
    """What has come so far."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._tokens = 0
        self._finish: str | None = None
        self._model: str | None = None
        self._usage: _Usage | None = None

    @property
    def finished(self) -> bool:
        """Whether the endpoint has said why the answer ends here."""
        return self._finish is not None

    def add(self, piece: _Piece) -> None:
        """Take the next one."""
        self._model = piece.model or self._model
        tokens = self._tokens
        for choice in piece.choices:
            if choice.index == 0:
                tokens += self._take(choice)
        if piece.usage is not None:
            self._usage = piece.usage
            tokens = piece.usage.completion_tokens
        if tokens != self._tokens:
            self._heard(tokens - self._tokens)
            self._tokens = tokens

    def body(self) -> bytes:
        """Return it as an endpoint that does not stream would send it."""
        message = {"content": "".join(self._texts), "refusal": "".join(self._refusals) or None}
        choice = {"message": message, "finish_reason": self._finish}
        usage = self._usage and self._usage.model_dump()
        return json.dumps({"model": self._model, "choices": [choice], "usage": usage}).encode()

    def _take(self, choice: _Choice) -> int:
        """Return how many tokens that was."""
        self._finish = choice.finish_reason or self._finish
        delta = choice.delta or _Delta()
        self._texts.append(delta.content or "")
        self._refusals.append(delta.refusal or "")
        said = delta.content or delta.refusal or delta.reasoning_content or delta.reasoning
        return 1 if said else 0
