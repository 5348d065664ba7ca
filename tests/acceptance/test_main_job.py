"""The main job: real documents through a real `millrace up`, a kill -9 in the middle, against the truth."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse
from rapidfuzz.distance import Levenshtein

from tests.acceptance.up import MILLRACE, Up, running_up
from tests.conftest import EXAMPLES

TRUTH: dict[str, Any] = json.loads((EXAMPLES / "truth.json").read_text())
CHARACTER_ERRORS = {
    "invoice.pdf": 0.01,
    "contract.pdf": 0.02,
    "receipt.jpg": 0.04,
    "letter.tiff": 0.03,
    "minutes.docx": 0.01,
}
"""Highest accepted character error rates."""
KILLED_AFTER = 3
"""Saved pages of the contract."""

Outputs = dict[str, dict[str, Any]]


def curl(up: Up, path: Path) -> dict[str, Any]:
    """Submit as the README says."""
    command = ["curl", "-sS", "-f", "-F", f"file=@{path}", f"{up.url}/v1/jobs"]
    answered: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answered


def events(up: Up, job: str, last: str = "") -> Iterator[tuple[str, dict[str, Any], str]]:
    headers = {"Last-Event-ID": last} if last else {}
    with httpx.Client(timeout=120, trust_env=False) as client:
        with connect_sse(client, "GET", f"{up.url}/v1/jobs/{job}/events", headers=headers) as source:
            for event in source.iter_sse():
                if event.data:  # and not the framework's keep-alive comment
                    yield event.event, event.json(), event.id


class Result:
    """What the run left behind."""

    def __init__(self, up: Up) -> None:
        jobs = {path.name: curl(up, path)["id"] for path in sorted(EXAMPLES.iterdir()) if path.name in TRUTH}
        self.killed = self._kill_in_the_middle(up, jobs["contract.pdf"])
        self.ended = {name: self._wait(up, job) for name, job in jobs.items()}
        self.outputs: dict[str, Outputs] = {
            name: {stage: up.get(f"/v1/jobs/{job}/outputs/{stage}") for stage in ("ocr", "ner", "llm")}
            for name, job in jobs.items()
        }
        self.jobs = {name: up.get(f"/v1/jobs/{job}") for name, job in jobs.items()}
        self.listeners = up.get("/v1/listeners")
        self.contract = jobs["contract.pdf"]
        self.log = up.log.read_text()

    def _kill_in_the_middle(self, up: Up, job: str) -> dict[str, Any]:
        for event, data, _ in events(up, job):
            stages = data["stages"] if event == "job" else [data] if event == "stage" else []
            if any((stage.get("progress") or {}).get("done", 0) >= KILLED_AFTER for stage in stages):
                break
        killed: dict[str, Any] = up.get("/v1/workers")[-1]
        os.kill(killed["pid"], signal.SIGKILL)
        return killed

    def _wait(self, up: Up, job: str) -> list[tuple[str, dict[str, Any], str]]:
        return list(events(up, job))

    def steps(self, verb: str, attempt: int) -> set[str]:
        """Pages of the contract that an attempt began, or saved, as the workers' log tells."""
        pattern = rf"ocr: {verb} (page-\d+) job=\S+ task={re.escape(self.contract)}:ocr:1 attempt={attempt}\b"
        return set(re.findall(pattern, self.log))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    with running_up(tmp_path_factory.mktemp("main"), MILLRACE_LOG_LEVEL="DEBUG") as up:
        yield Result(up)
        checked = subprocess.run(
            [MILLRACE, "verify", "--data", str(up.data)], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout


@pytest.mark.timeout(400)
def test_every_document_succeeds_and_its_stream_ends(result: Result) -> None:
    assert {name: job["state"] for name, job in result.jobs.items()} == dict.fromkeys(TRUTH, "succeeded")
    for told in result.ended.values():
        assert told[0][0] == "job"
        assert told[-1][0] == "end"
        assert told[-1][1]["state"] == "succeeded"


def test_no_page_that_was_saved_ran_again(result: Result) -> None:
    kept = result.steps("saved", 1)
    again = result.steps("begun", 2)
    assert len(kept) >= KILLED_AFTER
    assert kept | again == {f"page-{number}" for number in range(1, 13)}
    assert not kept & again
    [ocr, *_] = result.jobs["contract.pdf"]["stages"]
    assert (ocr["attempt"], ocr["error"]["type"]) == (2, "WorkerDied")


def test_the_new_worker_resumed_from_the_token(result: Result) -> None:
    [listener] = [each for each in result.listeners if each["role"] == "worker/documents"]
    assert listener["resumed"]["worker"] != result.killed["name"]
    assert listener["resumed"]["events"] >= 1
    assert listener["gap"] is None


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_the_text_is_what_was_drawn(result: Result, name: str) -> None:
    pages = result.outputs[name]["ocr"]["pages"]
    assert len(pages) == len(TRUTH[name]["pages"])
    drawn, read = (
        _words(page["text"] for page in TRUTH[name]["pages"]),
        _words(page["text"] for page in pages),
    )
    assert Levenshtein.distance(drawn, read) / len(drawn) <= CHARACTER_ERRORS[name]


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_the_entities_are_found_with_their_places(result: Result, name: str) -> None:
    text = result.outputs[name]["ocr"]["text"]
    found = result.outputs[name]["ner"]["entities"]
    wanted = {(each["label"], _words([each["text"]]), each["page"]) for each in TRUTH[name]["entities"]}
    met = {(each["label"], _words([each["text"]]), each["page"]) for each in found}
    assert len(wanted & met) / len(wanted) >= 0.9, sorted(wanted - met)
    for each in found:
        assert text[each["start"] : each["end"]] == each["text"]
        assert name == "minutes.docx" or each["box"] is not None


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("invoice.pdf", ("invoice_number", "issue_date", "due_date", "total", "currency", "iban", "vat_id")),
        ("receipt.jpg", ("merchant", "date", "total", "currency")),
        ("contract.pdf", ("parties", "effective_date", "governing_law")),
        ("letter.tiff", ("sender", "date")),
        ("minutes.docx", ("date", "next_meeting")),
    ],
)
def test_the_key_fields_are_right(result: Result, name: str, fields: tuple[str, ...]) -> None:
    answer = result.outputs[name]["llm"]
    assert answer["type"] == TRUTH[name]["type"]
    assert answer["summary"]
    for field in fields:
        told = {_plain(each["value"]) for each in answer["fields"] if each["name"] == field}
        truth = TRUTH[name]["fields"][field]
        assert told == {_plain(each) for each in (truth if isinstance(truth, list) else [truth])}


def _words(texts: Any) -> str:
    joined = " ".join(" ".join(texts).split())
    return joined.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})


def _plain(value: str) -> str:
    return value.replace(" ", "").casefold()
