"""`python -m benchmarks.peers`: the harness, with the one peer that needs nothing installed."""

import json
from pathlib import Path

import anyio
import psutil
import pytest

from benchmarks.ground import Form
from benchmarks.peers.__main__ import main
from benchmarks.peers.measure import Reached, measure, percentile, until_all_ended
from benchmarks.peers.registry import PEERS, Entry
from benchmarks.peers.report import Row, figures, peers_table
from benchmarks.peers.servers import MONGOD, Server
from tests.benchmarks.small_peers import Counting


def entry(kind: str, *libraries: str, server: Server = MONGOD) -> Entry:
    location = f"tests.benchmarks.small_peers:{kind}"
    return Entry(kind.lower(), kind, location, ("pymongo", *libraries), (server,))


def reached(throughput: float) -> Reached:
    return Reached(throughput, 5.0, 9.0, "4", "on disk", "library 1.0")


def row(name: str, throughput: float) -> Row:
    return Row(Entry(name, name.title(), "", (), ()), reached=reached(throughput))


def test_what_is_there_is_measured_and_what_isnt_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "made" / "peers.json"
    elsewhere = Server(lambda: None, MONGOD.run, "apt-get install elsewhere")
    peers = [entry("Small"), entry("Absent", "no-such-library"), entry("Far", server=elsewhere)]
    before = psutil.Process().children(recursive=True)
    assert main(["--short", "--output", str(output)], peers) == 0
    assert psutil.Process().children(recursive=True) == before
    told = capsys.readouterr().out
    assert "not installed: make .venv-peers/ready" in told
    assert "not installed: apt-get install elsewhere" in told
    entries = json.loads(output.read_text())
    values = {each["name"]: each["value"] for each in entries}
    assert set(values) == {f"peers.small.{what}" for what in ("throughput", "p50", "p99")}
    assert values["peers.small.throughput"] > 1
    assert all("setting 16;" in each["note"] for each in entries)  # the faster one
    assert 0.5 < values["peers.small.p50"] <= values["peers.small.p99"]


async def test_a_worker_that_dies_ends_the_measurement() -> None:
    told: list[str] = []
    with anyio.fail_after(30):
        outcomes = await measure([entry("Dying")], Form(short=True), told.append)
    assert "dying ended with code 1: no work today" in str(outcomes["dying"])
    assert told == ["Dying, settings", "Dying, round 1 of 1"]


async def test_a_wrong_result_ends_the_measurement_of_that_peer_alone() -> None:
    told: list[str] = []
    outcomes = await measure([entry("Wrong"), entry("Small")], Form(short=True), told.append)
    assert "a chain ended with 4, not with 3" in str(outcomes["wrong"])
    assert isinstance(outcomes["small"], Reached)
    assert told == [f"{name}, {what}" for what in ("settings", "round 1 of 1") for name in ("Wrong", "Small")]


async def test_chains_are_waited_for_until_the_last_has_ended() -> None:
    submitter = Counting(0, 3, 9, 10)
    await until_all_ended(submitter, 10)
    assert submitter.answers == []


def test_millrace_is_compared_with_the_fastest() -> None:
    rows = [row("millrace", 900.0), row("slow", 100.0), row("fast", 300.0), Row(entry("Small"), missing="x")]
    compared, *_ = figures(rows)
    assert (compared.name, compared.reference, compared.ratio, compared.ok) == (
        "peers.throughput",
        300.0,
        3.0,
        True,
    )
    assert "Fast" in compared.note
    assert peers_table(rows, Form()).row_count == len(rows)


def test_nothing_is_compared_with_nothing() -> None:
    assert all(each.name != "peers.throughput" for each in figures([row("millrace", 900.0)]))


def test_a_wrong_name_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rabbits"])
    assert ended.value.code == 2
    assert "no peer is named rabbits; there are: millrace, poller" in capsys.readouterr().err


def test_every_peer_has_a_name_of_its_own() -> None:
    assert len({each.name for each in PEERS}) == len(PEERS)


def test_percentiles_are_measured_values() -> None:
    values = [float(value) for value in range(50, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values[:1], 99)) == (25.0, 50.0, 50.0)
