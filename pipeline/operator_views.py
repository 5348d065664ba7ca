"""What operators see of pauses, services and limits."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class PauseView(BaseModel):
    """Something that is paused."""

    subject: str
    """`stage:documents/ocr`, `pipeline:documents`, `tenant:acme` or `worker:name`."""
    reason: str | None = None
    at: datetime | None = None


class ServiceView(BaseModel):
    """An outside service that is left alone."""

    subject: str
    """`service:openai`."""
    state: Literal["away", "probing", "held"]
    """Away until the next probe; being asked by one attempt; or held by an operator, until it is resumed."""
    reason: str
    since: datetime
    until: datetime | None
    """When the next probe may begin; None: an operator has to resume it."""
    failures: int
    """How often in a row it was found to be away."""
    stages: list[str]
    """What is parked, such as `stage:documents/llm`."""


class RateView(BaseModel):
    """How much of a unit a subject may use in each interval, over all workers."""

    unit: str
    """`tasks`, of which each attempt takes one as it begins, or what stages name as their cost."""
    amount: int
    per: float
    """Seconds."""
    left: float | None = None
    """What may be used now; below 0 what was used beyond it. None for what is limited one by one."""


class LimitView(BaseModel):
    """How many tasks of a subject may run at once, and how much it may use, over all workers."""

    subject: str
    """`stage:documents/llm`, `tenant:acme`, `key:openai`, or each that begins alike: `tenant:*`."""
    concurrency: int | None = None
    """None for any number."""
    running: int | None = None
    """How many run now; None for what is limited one by one."""
    rates: list[RateView] = []
