"""`python -m benchmarks`: the table, `bench.json`, the pictures, the exit code."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.ground import Form
from benchmarks.registry import BENCHMARKS, LIMIT, Benchmark, chosen
from benchmarks.run import run

TINY, BROKEN, FINE = (f"tests.benchmarks.{name}" for name in ("tiny", "broken", "fine"))
SHORT_SECONDS = 120


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "made" / "figures.json"


def test_the_table_says_it_all(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([TINY, "--short", "--output", str(output)]) == 0
    rows = {row.split("│")[1].strip(): row for row in capsys.readouterr().out.splitlines() if "│" in row}
    cells = [cell.strip() for cell in rows["tiny.fast"].split("│")]
    assert cells[1:-1] == ["tiny.fast", "90 chains/s", "100", "0.9", "≥ 0.5", "yes", "of [nothing]"]
    cells = [cell.strip() for cell in rows["tiny.slow"].split("│")]
    assert cells[1:-1] == ["tiny.slow", "3 ms", "", "", "≤ 2", "NO", ""]
    assert "yes" not in rows["tiny.told"]
    assert "NO" not in rows["tiny.told"]


def test_the_file_holds_every_figure(output: Path) -> None:
    assert main([TINY, FINE, "--output", str(output)]) == 0
    fast, slow, told, fine = json.loads(output.read_text())
    assert fast == {
        "name": "tiny.fast",
        "value": 900,
        "unit": "chains/s",
        "reference": 100,
        "ratio": 9,
        "target": 0.5,
        "bound": "at least",
        "ok": True,
        "note": "of [nothing]",
    }
    assert (slow["ratio"], slow["ok"], slow["bound"]) == (None, False, "at most")
    assert (told["target"], told["ok"]) == (None, None)
    assert (fine["ratio"], fine["ok"]) == (1.5, True)


def test_every_plot_has_two_files(output: Path) -> None:
    main([TINY, "--output", str(output)])
    drawn = {each.name for each in output.parent.iterdir()} - {output.name}
    assert drawn == {f"figures-{plot}.{kind}" for plot in ("workers", "latency") for kind in ("svg", "png")}
    picture = (output.parent / "figures-workers.svg").read_text()
    assert all(text in picture for text in ("chains/s", "worker processes", "Millrace"))


def test_one_that_raises_stops_no_other(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([BROKEN, FINE, "--output", str(output)]) == 1
    told = capsys.readouterr()
    assert "RuntimeError: a promise was broken" in told.out
    assert "fine.ratio" in told.out
    assert "Traceback" in told.err
    broken, fine = json.loads(output.read_text())
    assert (broken["name"], broken["ok"], broken["value"]) == (BROKEN, False, None)
    assert "a promise was broken" in broken["note"]
    assert fine["ok"]


@pytest.mark.parametrize(("benchmark", "code"), [(TINY, 1), (FINE, 0), (BROKEN, 1)])
def test_strict_minds_missed_targets(output: Path, benchmark: str, code: int) -> None:
    assert main([benchmark, "--strict", "--output", str(output)]) == code


def test_a_module_that_is_not_there_yet(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tests.benchmarks.later", "--output", str(output)]) == 1
    assert "ModuleNotFoundError" in capsys.readouterr().out


def test_a_wrong_name_runs_nothing(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["throughputs", "--output", str(output)])
    assert ended.value.code == 2
    assert "no benchmark is named throughputs; there are: throughput, latency" in capsys.readouterr().err
    assert not output.parent.exists()


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [each.name for each in BENCHMARKS]
    assert chosen([], Form()) == list(BENCHMARKS)


def test_the_short_form_is_short() -> None:
    short = Form(short=True)
    assert sum(each.budget(short) for each in chosen([], short)) <= SHORT_SECONDS


def test_a_benchmark_that_hangs_is_ended() -> None:
    hanging = Benchmark("tests.benchmarks.hanging", "nothing", (0.1 / LIMIT, 0.1 / LIMIT))
    [result] = run([hanging], Form(), lambda _: None)
    assert isinstance(result.error, TimeoutError)
