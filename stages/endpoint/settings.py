"""The operator's settings of the LLM stage, from `MILLRACE_LLM_…` variables."""

import hashlib
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from pipeline import PermanentError, Price, Tariff
from stages.settings import StageSettings

PREFIX = "MILLRACE_LLM_"


class LlmSettings(StageSettings):
    """Which endpoint is asked, and how much of it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    base_url: HttpUrl | None = None
    """Root of an OpenAI-compatible API, such as `http://localhost:8080/v1`. Without one, the
    extractive engine answers. Only the operator sets it: a job could otherwise aim requests at
    addresses inside the operator's network."""

    model: str | None = None
    """The model's name as the endpoint knows it. Needed with `base_url`: every endpoint has others."""

    api_key: SecretStr | None = None
    """Sent as a bearer token. Default none, as local servers want none."""

    timeout: timedelta = timedelta(seconds=120)
    """Limit of one request, from connecting to the last byte; in seconds when it is a plain number.
    Default 120: a small model on a CPU needs about a minute for a full chunk."""

    max_tokens: int = Field(default=4096, ge=16)
    """Tokens that one answer may have. Default 4096: about four times an invoice's answer, so that
    reasoning models have some left to think, and an answer without end is cut off."""

    chunk_tokens: int = Field(default=3000, ge=50)
    """Tokens of document text in one request; a longer document is read in chunks. Default 3,000: some
    five pages, of which a model misses little."""

    context: int = Field(default=8192, ge=512)
    """Tokens that the model takes in all: instructions, schema, text and answer. Chunks are smaller than
    `chunk_tokens` where these would not fit. Default 8,192, as local models are usually served."""

    tokenizer: Path | None = None
    """The model's `tokenizer.json`, to count tokens by. Default none: they are counted by the endpoint's
    `/tokenize` (llama.cpp, vLLM), or where it has none, estimated, from its own usage once it told some."""

    max_chunks: int = Field(default=400, ge=1)
    """Chunks that one document may need; a longer one is refused. Default 400, about 2,000 pages:
    a bound on what one job can cost."""

    concurrency: int = Field(default=4, ge=1)
    """Requests of one job at the same time. Default 4: the slots of a usual local server."""

    schemas: Annotated[dict[str, str], NoDecode] = {}
    """Schemas that jobs may name: `timesheet=acme.forms:Timesheet`, several parted by commas, each a
    pydantic model which the worker can import. Default none: there are built-in ones."""

    remember: timedelta = timedelta(days=7)
    """How long an answer is used again when a job of the same tenant asks the same of the same text; 0:
    not at all. Default 7 days: answers hold what documents say, and most repeats come soon."""

    models: Annotated[tuple[str, ...], NoDecode] = ()
    """Models that a job may ask for instead, parted by commas. Default none: what a model costs is the
    operator's to decide."""

    prices: Annotated[dict[str, Price], NoDecode] = {}
    """What models cost, by name as in `model`, per million tokens, as JSON: `{"m": {"input": 0.15, "output":
    0.6}}`, in any one currency. Default none: usage is told in tokens, and its cost is unknown."""

    job_cost: Decimal | None = Field(default=None, gt=0)
    """What the requests of one job may cost; then it fails, and can be retried once an operator has raised
    its budget. Default none. A job can ask for less."""

    job_tokens: int | None = Field(default=None, ge=1)
    """The same in tokens, of input and output together. Default none."""

    @field_validator("models", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name for each in value.split(",") if (name := each.strip()))

    @field_validator("prices", mode="before")
    @classmethod
    def _exact(cls, value: object) -> object:
        return json.loads(value, parse_float=Decimal) if isinstance(value, str) else value

    def of_model(self, model: str | None) -> Self:
        """Return these settings with the model that a job asks for; None: the operator's.

        Raises:
            PermanentError: the operator lets no job ask for it.
        """
        if model is None or model == self.model:
            return self
        if model not in self.models:
            told = ", ".join(self.models) or "none"
            raise PermanentError(f"no job may ask for model {model!r}; {PREFIX}MODELS lets it: {told}")
        return self.model_copy(update={"model": model})

    @classmethod
    def engine(cls, model: str | None = None) -> str:
        """Return what answers depend on: the endpoint, its model and bounds, as a hash where they say much.

        `model` is the one that a job asks for, if any.

        Raises:
            PermanentError: a variable has a value that cannot be.
        """
        settings = cls.read()
        if settings.base_url is None:
            return "extractive"
        bounds = (settings.max_tokens, settings.chunk_tokens, settings.context, settings.tokenizer)
        rest = (settings.base_url, *bounds, settings.schemas)
        digest = hashlib.sha256(repr(rest).encode()).hexdigest()
        return f"openai {model or settings.model} {digest[:8]}"

    @classmethod
    def tariff(cls, param: str = "model") -> Tariff | None:
        """Return what the endpoint's models cost; None without one. `param` is where a job names its model.

        Raises:
            PermanentError: a variable has a value that cannot be.
        """
        settings = cls.read()
        if settings.base_url is None:
            return None
        return Tariff(param=param, model=settings.model, prices=settings.prices)

    @field_validator("schemas", mode="before")
    @classmethod
    def _places(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [each.partition("=") for each in value.split(",") if each.strip()]
        if not all(name.strip() and place.strip() for name, _, place in pairs):
            raise ValueError("give name=package.module:Model, several parted by commas")
        return {name.strip(): place.strip() for name, _, place in pairs}

    @field_validator("timeout", "remember", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
            return timedelta(seconds=float(value))
        return value

    @field_validator("timeout")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("must be more than 0 seconds")
        return value

    @field_validator("base_url")
    @classmethod
    def _without_credentials(cls, value: HttpUrl | None) -> HttpUrl | None:
        if value is not None and (value.username or value.password):
            raise ValueError(f"must not hold a user or a password; use {PREFIX}API_KEY")
        return value

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        secret = value.get_secret_value() if value else ""
        if not (secret.isascii() and secret.isprintable()):
            raise ValueError("must be printable ASCII characters")
        return value
