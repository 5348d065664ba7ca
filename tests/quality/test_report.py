"""`python -m quality`: the table, `quality.json`, the exit code."""

import json
from pathlib import Path

import pytest

from quality.__main__ import main
from quality.error_rate import error_rates
from quality.registry import PARTS, chosen

TINY = "tests.quality.tiny"


def test_table_file_and_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "made" / "quality.json"
    assert main([TINY, "--output", str(output)]) == 1
    told = capsys.readouterr()
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in told.out.splitlines() if "│" in row]
    assert told.err.splitlines() == [
        f"{TINY}: letters, rules",
        f"{TINY}: minutes [2], rules",
        f"{TINY}: notes, spacy",
    ]
    assert rows == [
        ["letters", "rules", "100.0", "95.0", "f1 ≥ 90", "yes", ""],
        ["minutes [2]", "rules", "50.0", "62.5", "f1 ≥ 90", "NO", "of [ORG] few"],
        ["notes", "spacy", "50.0", "50.0", "", "", ""],
    ]
    letters, minutes, notes = json.loads(output.read_text("utf-8"))[TINY]
    assert letters == {
        "sample": "letters",
        "engine": "rules",
        "measures": {"precision": 1.0, "f1": 0.95},
        "floor": {"measure": "f1", "limit": 0.9, "bound": "at least"},
        "note": "",
        "ok": True,
    }
    assert (minutes["ok"], notes["ok"], notes["floor"]) == (False, None, None)


def test_every_part_can_be_loaded() -> None:
    assert all(callable(part.load()) for part in PARTS)
    assert chosen([]) == list(PARTS)


def test_unknown_part_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sound"])
    assert ended.value.code == 2
    assert "no part is named sound; there are: ocr" in capsys.readouterr().err


def test_error_rates_count_neither_space_nor_kinds_of_quotes() -> None:
    assert error_rates("\u201cone\u201d\n\ttwo \u2013 three", '"one" two - three') == {"cer": 0.0, "wer": 0.0}
    assert error_rates("one twa", "one two") == {"cer": pytest.approx(1 / 7), "wer": 0.5}
