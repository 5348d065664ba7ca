"""People: they submit documents until each is accepted, cancel some, and have others run again."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
import httpx

from tests.chaos.papers import BROKEN, STAGES

GIVE_UP = 60.0
"""Seconds for one request."""
OFTEN = 3.0
"""Mean seconds between two cancels or retries."""
CLOSED = (404, 409)
"""Refusals of a cancel or a retry: nothing was changed."""


@dataclass(slots=True)
class Paper:
    """A document that was submitted, and what may have become of it."""

    key: str
    broken: bool
    job: str = ""
    ends: set[str] = field(default_factory=set)
    """States in which its job may end."""

    @property
    def as_intended(self) -> str:
        return "failed" if self.broken else "succeeded"


class Submitter:
    """Everybody who uses the APIs."""

    def __init__(self, urls: list[str], random: Random, rate: float) -> None:
        self._urls = urls
        self._random = random
        self._rate = rate
        self._stopped = anyio.Event()
        self.papers: list[Paper] = []
        self.answers: Counter[str] = Counter()
        self.odd: list[str] = []
        """Answers that nobody could act on."""

    @property
    def accepted(self) -> list[Paper]:
        return [paper for paper in self.papers if paper.job]

    def stop(self) -> None:
        """Begin nothing new; what was begun is still tried until it is accepted."""
        self._stopped.set()

    async def run(self) -> None:
        """Submit, and meddle, until stopped."""
        async with (
            httpx.AsyncClient(timeout=GIVE_UP, trust_env=False) as http,
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._meddle, http)
            while not self._stopped.is_set():
                paper = Paper(f"paper-{len(self.papers)}", self._random.random() < 0.02)
                paper.ends = {paper.as_intended}
                self.papers.append(paper)
                group.start_soon(self._submit, http, paper)
                await self._wait(1 / self._rate)

    async def _wait(self, mean: float) -> None:
        with anyio.move_on_after(self._random.expovariate(1 / mean)):
            await self._stopped.wait()

    async def _submit(self, http: httpx.AsyncClient, paper: Paper) -> None:
        content = BROKEN if paper.broken else f"the text of {paper.key}".encode()
        while not paper.job:
            answer = await self._post(
                http,
                "/v1/jobs",
                files={"file": ("paper.txt", content)},
                data={"pipeline": "papers"},
                headers={"Idempotency-Key": paper.key},
            )
            if answer is None or answer.status_code != 202:
                await anyio.sleep(float(answer.headers["Retry-After"]) if answer is not None else 0.5)
            else:
                paper.job = answer.json()["id"]

    async def _meddle(self, http: httpx.AsyncClient) -> None:
        """Cancel jobs, have failed ones tried again, and ended ones run again from some stage on."""
        while not self._stopped.is_set():
            await self._wait(OFTEN)
            if not self.accepted:
                continue
            paper = self._random.choice(self.accepted[-100:])
            if self._random.random() < 0.4:
                answer = await self._post(http, f"/v1/jobs/{paper.job}/cancel")
                now = {"cancelled"}
            else:
                stage = self._random.choice((None, *STAGES))
                answer = await self._post(
                    http, f"/v1/jobs/{paper.job}/retry", params={"stage": stage} if stage else {}
                )
                now = {paper.as_intended}
            if answer is None:  # it may have been done
                paper.ends |= now
            elif answer.status_code not in CLOSED:
                paper.ends = now if answer.status_code == 200 else paper.ends | now

    async def _post(self, http: httpx.AsyncClient, path: str, **options: Any) -> httpx.Response | None:
        """Ask one of the APIs; None when there was no answer."""
        request = http.build_request("POST", self._random.choice(self._urls) + path, **options)
        try:
            answer = await http.send(request)
        except httpx.TransportError as error:
            self.answers[type(error).__name__] += 1
            return None
        self.answers[str(answer.status_code)] += 1
        refused = answer.status_code == 503 and "Retry-After" in answer.headers
        if answer.status_code not in (200, 202, *CLOSED) and not refused:
            self.odd.append(f"{path}: {answer.status_code} {answer.text}")
        return answer
