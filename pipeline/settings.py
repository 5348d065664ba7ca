"""Settings, from `MILLRACE_…` environment variables or from code; frozen.

Durations are ISO 8601 (`PT45S`) or seconds.
"""

import os
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.processes import MEMORY
from pipeline.vault import secret_keys


def _seconds(value: object) -> object:
    """Take a plain number from the environment as seconds."""
    if isinstance(value, str) and value.replace(".", "", 1).isdigit():
        return timedelta(seconds=float(value))
    return value


def _keys(value: SecretStr) -> SecretStr:
    """Refuse what are no keys, before anything is sealed with them."""
    secret_keys(value.get_secret_value())
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class StoreSettings(BaseSettings):
    """Where the database is."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True, hide_input_in_errors=True)

    mongodb_uri: SecretStr | None = None
    """Connection string of a replica set, as it may hold a password never shown.
    Without it `up` and `demo` start their own mongod; everything else refuses to start."""

    database: str = Field(default="millrace", pattern=r"^[A-Za-z0-9_-]{1,38}$")
    """Database name. Everything that Millrace stores is in this one."""

    timeout: Duration = timedelta(seconds=20)
    """Longest that one operation may take, elections included; at least 1 s.
    20 s, as an election takes up to 12 s with MongoDB's defaults."""

    secret_key: Annotated[SecretStr, AfterValidator(_keys)] | None = None
    """Encrypts params that are secret, such as passwords of documents: 32 random bytes in base64, the same
    for the API and all workers. Several are parted by commas: the first one encrypts, all decrypt.
    Without it such params are refused at their submission."""


class WorkerSettings(BaseSettings):
    """How a worker process works."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_WORKER_", frozen=True)

    slots: int = Field(default=4, ge=1, le=1024)
    """Attempts that run at once. 4: stages wait for models and endpoints as often as they compute."""

    processes: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    """Child processes for work that keeps a core busy. Default: the number of cores."""

    child_memory: ByteSize = Field(default=ByteSize(MEMORY), ge=256 * 1024**2)
    """Private memory that each of them may have, in bytes or as `4GiB`; beyond it the attempt fails.
    4 GiB: recognising a page takes 1.1 GiB. One that still holds half of it after a call is replaced."""

    lease: Duration = Field(default=timedelta(seconds=45), ge=timedelta(seconds=1))
    """How long a claim lasts without renewal; it is renewed every quarter of it.
    45 s outlives an election (up to 12 s) more than three times over."""

    grace: Duration = timedelta(seconds=15)
    """How long running attempts may go on after a soft stop, before they are interrupted.
    15 s leaves half of the 30 s that process managers usually give."""

    reconciliation: Duration = Field(default=timedelta(minutes=3), ge=timedelta(seconds=1))
    """Mean time between reconciliations, jittered by a half. The net below the change stream:
    they find work whose event nobody heard. 3 minutes costs an idle database nothing."""

    admission_grace: Duration = Field(default=timedelta(minutes=15), ge=timedelta(0))
    """How long a submitted job waits for a worker that knows its pipeline, once none that is alive does.
    Then it fails, and may be retried. 15 minutes: by then a deployment is over."""

    listen: bool = True
    """Off: no change stream; work is found by reconciliation every two seconds."""


class ApiSettings(BaseSettings):
    """How the HTTP API behaves."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_API_", frozen=True)

    max_upload: int = Field(default=200 * 1024 * 1024, ge=1)
    """Bytes of the largest document that is accepted. 200 MiB: some hundred scanned pages."""

    upload_timeout: Duration = timedelta(minutes=10)
    """How long one upload may take. 10 minutes: 200 MiB over a slow line."""

    idempotency: Duration = timedelta(days=1)
    """How long an `Idempotency-Key` stands for its job; then it submits a new one. A day outlives retries."""

    heartbeat: Duration = timedelta(seconds=15)
    """Quiet time after which an event stream sends its position. 15 s keeps proxies from closing it."""

    allowed_hosts: list[str] = ["localhost", "127.0.0.1", "[::1]"]
    """Host names by which the API may be called, as JSON; `*.example.org` is allowed. Default: loopback,
    so that no web page elsewhere can reach it by a name of its own (DNS rebinding)."""
