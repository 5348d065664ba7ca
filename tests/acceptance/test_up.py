"""`millrace up`: it keeps everything running, stops everything, and keeps what it was given."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server, socket
from typing import Any

import httpx
import psutil

from api.rest_client import RestClient
from tests.acceptance.up import MILLRACE, ROOT, Up, environment, free_port, running_up

COUNTING = ("--pipeline", "tests.support:COUNTING")
HOLDING = ("--pipeline", "tests.acceptance.holding:HOLDING")


def submit(up: Up, pipeline: str = "counting", **fields: str) -> Any:
    answer = httpx.post(
        f"{up.url}/v1/jobs",
        files={"file": ("a.txt", b"one two three")},
        data={"pipeline": pipeline, **fields},
        trust_env=False,
    )
    assert answer.status_code == 202, answer.text
    return answer.json()


def watch(up: Up, job: str) -> Iterator[tuple[str, Any]]:
    yield from RestClient(up.url).events(f"/v1/jobs/{job}/events")


def family(up: Up) -> list[psutil.Process]:
    return [psutil.Process(up.process.pid), *psutil.Process(up.process.pid).children(recursive=True)]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MILLRACE, *words], capture_output=True, text=True, timeout=100, cwd=ROOT, env=environment()
    )


def test_it_stops_with_all_that_it_started(tmp_path: Path) -> None:
    with running_up(tmp_path, *COUNTING, workers=2) as up:
        submit(up)
        started = family(up)
        assert len(started) >= 5  # itself, mongod, the API, two workers
        stream = RestClient(up.url).events("/v1/events")
        next(stream)  # somebody still watches
        up.stop()
        gone, alive = psutil.wait_procs(started, timeout=5)
    assert alive == []
    assert len(gone) == len(started)


def test_nothing_outlives_a_killed_up(tmp_path: Path) -> None:
    with running_up(tmp_path, *COUNTING) as up:
        started = family(up)
        up.process.kill()
        assert psutil.wait_procs(started, timeout=40)[1] == []


def test_a_killed_worker_is_replaced_and_its_task_given_back_at_once(tmp_path: Path) -> None:
    lease = {"MILLRACE_WORKER_LEASE": "3600"}  # only its supervisor can give the task back in time
    with running_up(tmp_path, *HOLDING, **lease) as up, listening() as (gate, params):
        [worker] = up.get("/v1/workers")
        job = submit(up, "holding", params=params)
        with gate.accept()[0]:
            psutil.Process(worker["pid"]).kill()
            answer(gate)
        assert list(watch(up, job["id"]))[-1][1]["state"] == "succeeded"
        [successor] = up.get("/v1/workers")
        shown = up.get(f"/v1/jobs/{job['id']}")["stages"][0]
    assert successor["name"] != worker["name"]
    assert (shown["attempt"], shown["error"]["type"]) == (2, "WorkerDied")


def test_a_port_that_is_taken_gets_a_clear_error(tmp_path: Path) -> None:
    with running_up(tmp_path / "first", *COUNTING) as up:
        port = up.url.rsplit(":", 1)[1]
        second = run("up", "--port", port, "--data", str(tmp_path / "second"), *COUNTING)
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert f"127.0.0.1:{port}" in second.stderr
        assert "--port" in second.stderr
        assert up.get("/health/ready")["status"] == "ready"


def test_what_it_was_given_survives_a_restart_on_another_port(tmp_path: Path) -> None:
    port = free_port()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    with running_up(tmp_path, *COUNTING, port=port) as up:
        done, waiting = submit(up)["id"], submit(up, run_at=later)["id"]
        assert list(watch(up, done))[-1][1]["state"] == "succeeded"
        before = up.get("/v1/jobs")["jobs"]
    for again in (port, free_port()):
        with running_up(tmp_path, *COUNTING, port=again) as up:
            now = up.get("/v1/jobs")["jobs"]
            assert [job["id"] for job in now] == [job["id"] for job in before] == [waiting, done]
            assert up.get(f"/v1/jobs/{done}/outputs/count") == {"words": 3}


def test_every_promise_is_verified_while_it_runs_and_after(tmp_path: Path) -> None:
    with running_up(tmp_path, *COUNTING) as up:
        assert list(watch(up, submit(up)["id"]))[-1][1]["state"] == "succeeded"
        check_verified(tmp_path)
        check_verified(tmp_path, "--repair")
    check_verified(tmp_path, "--repair")


def check_verified(data: Path, *words: str) -> None:
    told = run("verify", "--data", str(data), "--json", *words)
    assert told.returncode == 0, told.stderr
    verification = json.loads(told.stdout)
    assert set(verification) == {"findings", "repairs"}
    assert sum(finding["checked"] for finding in verification["findings"]) > 0
    assert {finding["violations"] for finding in verification["findings"]} == {0}
    assert verification["repairs"] == []


def test_a_folder_without_data_cannot_be_verified(tmp_path: Path) -> None:
    told = run("verify", "--data", str(tmp_path / "absent"))
    assert told.returncode == 2
    assert "absent" in told.stderr
    assert not (tmp_path / "absent").exists()


def test_a_watcher_goes_on_when_the_api_is_replaced(tmp_path: Path) -> None:
    with running_up(tmp_path, *HOLDING) as up, listening() as (gate, params):
        job = submit(up, "holding", params=params)["id"]
        api = next(each for each in family(up) if each.cmdline()[3:4] == ["api"])
        with gate.accept()[0] as stage:
            events = watch(up, job)
            assert next(events)[0] == "job"
            api.kill()
            assert psutil.wait_procs([api], timeout=10)[1] == []
            stage.sendall(b"go on")  # while no API lives
            told = list(events)
    assert (told[-1][0], told[-1][1]["state"]) == ("end", "succeeded")
    assert [data["state"] for event, data in told if event == "stage"][-1:] == ["succeeded"]


@contextmanager
def listening() -> Iterator[tuple[socket, str]]:
    """The test's end of the stage that holds, and the params that tell it where that is."""
    with create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(60)
        yield gate, json.dumps({"hold": {"port": gate.getsockname()[1]}})


def answer(gate: socket) -> None:
    with gate.accept()[0] as stage:
        stage.sendall(b"go on")
