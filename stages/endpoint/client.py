"""An OpenAI-compatible endpoint: one request at a time, every failure a typed error."""

import json
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any, Literal, Protocol, TypedDict, cast

import anyio
import httpx
import openai

from pipeline import PermanentError, Spent, TemporaryError, Unavailable
from stages.endpoint.completion import Completion, Refused
from stages.endpoint.dialect import Dialect
from stages.endpoint.faults import as_stage_error, is_away, is_free, is_too_long, refused_of, wait_of
from stages.endpoint.price import spent_of
from stages.endpoint.settings import LlmSettings
from stages.endpoint.stream import Heard, receive
from stages.endpoint.tokens import Counter
from stages.outputs import Usage

# An answer of 4,096 tokens is some 20 kB; whatever is this long is none.
MAX_BODY = 8 * 1024 * 1024
# Each streamed token comes in an event of some 250 bytes.
_EVENT = 1024
_LONGEST_SERVICE = 120
# The client of openai 2 logs whole requests, the document's text with them, at DEBUG.
logging.getLogger("openai").setLevel(logging.INFO)
# What each endpoint and model was found to understand, for the life of the process.
_understood: dict[tuple[str, str], Dialect] = {}


class Message(TypedDict):
    """A turn of the conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Request(Protocol):
    """One that is made, and to be paid: `pipeline.spending.Spending`."""

    async def took(self, spent: Spent) -> None:
        """Record what it took."""
        ...

    def free(self) -> None:
        """It took nothing."""
        ...


class Payer(Protocol):
    """Who asks, and pays: a `StageContext`."""

    def service(self, name: str) -> AbstractContextManager[None]:
        """Enclose a call of a service."""
        ...

    def spending(self, likely: Spent) -> AbstractAsyncContextManager[Request]:
        """Enclose a request that is likely to take so much."""
        ...


class _BoundedStream(httpx.AsyncByteStream):
    """A response's body that fails, rather than fill the memory, when it does not end."""

    def __init__(self, stream: httpx.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for part in self._stream:
            received += len(part)
            if received > self._limit:
                raise httpx.ReadError(f"more than {self._limit} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class Endpoint:
    """An open client of the operator's endpoint. Made by `open_endpoint`; tasks may share it."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        settings: LlmSettings,
        model: str,
        counter: Counter,
        heard: Heard,
        payer: Payer,
    ) -> None:
        self._client = client
        self._heard = heard
        self._settings = settings
        self._model = model
        self._key = (str(settings.base_url), model)
        self.counter = counter
        self._payer = payer
        self._service = service_name(settings, model)

    @property
    def key(self) -> tuple[str, str, int]:
        """All that an answer depends on beside the question: whom it is asked of, and its limit."""
        return (*self._key, self._settings.max_tokens)

    async def complete(self, messages: Sequence[Message], schema: dict[str, Any]) -> Completion:
        """Ask for one completion in the form of `schema`, in the strictest way the endpoint knows.

        The first call finds out which that is; later ones in this process start from it. Each request is
        noted before it is made, and settled after it by its tokens. One that was surely free is not kept;
        one that came to no answer, or to none that is a completion, counts as its prompt and the longest
        answer that it may have had.

        Raises:
            Unavailable: busy or away, or was so just now: nobody's fault, and no attempt is charged.
            TemporaryError: failing, too slow, or no completion in the answer.
            PermanentError: the request is refused; the message names the setting to check.
        """
        dialect = _understood.get(self._key, Dialect())
        while True:
            with self._payer.service(self._service):
                try:
                    completion = await self._ask(messages, schema, dialect)
                except openai.APIStatusError as error:
                    plainer = dialect.plainer(refused_of(error)) if _refuses_form(error) else None
                    if plainer is None:
                        raise self._failure(error) from None
                    dialect = plainer
                except openai.APIError as error:
                    raise self._failure(error) from None
                else:
                    _understood[self._key] = dialect
                    said = [each["content"] for each in messages]
                    self.counter.learn(json.dumps(schema), said, completion.usage.prompt_tokens)
                    return completion

    def _failure(self, error: openai.APIError) -> Unavailable | TemporaryError | PermanentError:
        """Return the stage's error."""
        meant = as_stage_error(error)
        if is_away(error):
            return Unavailable(self._service, str(meant), retry_after=wait_of(error))
        return meant

    async def _ask(self, messages: Sequence[Message], schema: dict[str, Any], dialect: Dialect) -> Completion:
        """Make one request, and record what it took."""
        async with self._payer.spending(self._likely(messages, schema)) as request:
            try:
                completion = Completion.parse(await self._send(messages, schema, dialect))
            except Refused as refusal:
                await request.took(spent_of(self._settings, refusal.usage))
                raise
            except openai.APIError as error:
                if is_free(error):
                    request.free()
                raise
            await request.took(spent_of(self._settings, completion.usage))
            return completion

    def _likely(self, messages: Sequence[Message], schema: dict[str, Any]) -> Spent:
        """Return what a request takes at most, as far as that can be told before it."""
        prompt = "".join([*(each["content"] for each in messages), json.dumps(schema)])
        tokens = {
            "prompt_tokens": self.counter.estimate(prompt),
            "completion_tokens": self._settings.max_tokens,
        }
        return spent_of(self._settings, Usage(**tokens))

    async def _send(self, messages: Sequence[Message], schema: dict[str, Any], dialect: Dialect) -> bytes:
        if dialect.needs_schema_in_prompt:
            messages = _with_schema(messages, schema)
        limit = self._settings.timeout.total_seconds()
        options = dialect.options(schema, self._settings.max_tokens)
        try:
            # The client's own timeout starts again with every byte; this one bounds the whole.
            with anyio.fail_after(limit):
                async with self._client.chat.completions.with_streaming_response.create(
                    model=self._model, messages=cast("Any", list(messages)), **options
                ) as response:
                    return await receive(cast("httpx.Response", response.http_response), self._heard)
        except httpx.TimeoutException as error:
            raise openai.APITimeoutError(request=cast("Any", error.request)) from error
        except httpx.HTTPError as error:
            raise openai.APIConnectionError(request=cast("Any", error.request)) from error
        except TimeoutError:
            raise TemporaryError(
                f"the LLM endpoint did not end its answer in {limit:g} s (MILLRACE_LLM_TIMEOUT)"
            ) from None


@asynccontextmanager
async def open_endpoint(settings: LlmSettings, heard: Heard, payer: Payer) -> AsyncIterator[Endpoint]:
    """Open the operator's endpoint; its connections are closed on leaving.

    `heard` is called while answers come in. `payer` encloses each request: while the endpoint is away, none
    is made, and what it took is recorded.

    Raises:
        PermanentError: the settings name no endpoint or no model.
    """
    if settings.base_url is None or settings.model is None:
        raise PermanentError("set MILLRACE_LLM_BASE_URL and MILLRACE_LLM_MODEL to ask an LLM endpoint")
    timeout = settings.timeout.total_seconds()
    limit = MAX_BODY + settings.max_tokens * _EVENT

    async def bound(response: httpx.Response) -> None:
        response.stream = _BoundedStream(cast("httpx.AsyncByteStream", response.stream), limit)

    # No redirects: the operator named this address, not the one that it may point to.
    http = httpx.AsyncClient(timeout=timeout, follow_redirects=False, event_hooks={"response": [bound]})
    # A placeholder without a key: the client would otherwise send OPENAI_API_KEY from the environment.
    key = settings.api_key.get_secret_value() if settings.api_key else "none"
    async with openai.AsyncOpenAI(
        base_url=str(settings.base_url),
        api_key=key,
        max_retries=0,
        timeout=timeout,
        http_client=cast("Any", http),  # openai 3 takes httpx clients, but its types say httpx2
    ) as client:
        counter = Counter(http, settings, settings.model, key)
        yield Endpoint(client, settings, settings.model, counter, heard, payer)


def service_name(settings: LlmSettings, model: str) -> str:
    """Return what operators call the endpoint and model: host, port where one is given, and model."""
    url = settings.base_url
    host = (url and url.host) or "none"
    port = f":{url.port}" if url and url.port not in (None, 80, 443) else ""
    return re.sub(r"[^!-~]", "_", f"{host}{port}/{model}")[:_LONGEST_SERVICE]


def _refuses_form(error: openai.APIStatusError) -> bool:
    return error.status_code in (400, 422, 501) and not is_too_long(error)


def _with_schema(messages: Sequence[Message], schema: dict[str, Any]) -> list[Message]:
    """Put the schema into the first message: chat templates often allow only one of the system."""
    first, *others = messages
    content = (
        f"{first['content']}\nAnswer with one JSON object and nothing else. "
        f"It follows this JSON schema:\n{json.dumps(schema)}"
    )
    return [{"role": first["role"], "content": content}, *others]
