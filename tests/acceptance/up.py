"""`millrace up` as a process of its own, as a user runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

import httpx
import pytest

from pipeline.tether import tethered

ROOT = Path(__file__).parents[2]
MILLRACE = str(Path(sys.executable).with_name("millrace"))
READY_SECONDS, STOP_SECONDS = 90.0, 30.0


@dataclass(frozen=True, slots=True)
class Up:
    """A running `millrace up`."""

    url: str
    data: Path
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.url}{path}", timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def wait_for_workers(self, workers: int) -> None:
        """Wait until the API is ready and this many workers are registered."""
        begun = time.monotonic()
        while time.monotonic() - begun < READY_SECONDS:
            with suppress(httpx.TransportError, httpx.HTTPStatusError):
                if self.get("/health/ready")["workers"] >= workers:
                    return
            with suppress(subprocess.TimeoutExpired):
                code = self.process.wait(0.1)
                pytest.fail(f"`millrace up` ended with {code}: {self.log.read_text()[-2000:]}")
        pytest.fail(f"not ready after {READY_SECONDS} s: {self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it with SIGTERM; it has 30 seconds, as its users are promised."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_SECONDS) == 0, self.log.read_text()[-2000:]


@contextmanager
def running_up(
    data: Path, *options: str, workers: int = 1, port: int | None = None, **variables: str
) -> Iterator[Up]:
    """Run `millrace up`, with these variables, until the block ends; from when it is ready on."""
    port = port or free_port()
    data.mkdir(parents=True, exist_ok=True)
    log = data / "up.log"
    command = [MILLRACE, "up", "--data", str(data), "--port", str(port), "--workers", str(workers), *options]
    with (
        log.open("ab") as stream,
        subprocess.Popen(tethered(command), stderr=stream, cwd=ROOT, env=environment(**variables)) as process,
    ):
        up = Up(f"http://127.0.0.1:{port}", data, log, process)
        try:
            up.wait_for_workers(workers)
            yield up
        finally:
            try:
                if process.poll() is None:
                    up.stop()
            finally:
                process.kill()


def environment(**more: str) -> dict[str, str]:
    """This process's variables, without what would configure Millrace."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    # A wide terminal, so that no table cuts what is looked for.
    return {**kept, "COLUMNS": "200", "NO_COLOR": "1", **more}


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
