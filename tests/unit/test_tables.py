"""What is copied from a table of the command line is whole in it, however narrow the terminal."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from api.tables import folded, whole

ID = f"default.{'0123456789abcdef' * 2}"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_an_id_is_never_cut(width: int) -> None:
    table = Table(whole("id", [ID, "short"]), "document", folded("stages"))
    table.add_row(ID, "a rather long name.pdf", "recognition:succeeded " * 3)
    table.add_row("short", "b.pdf", "")
    told = io.StringIO()
    Console(file=told, width=width).print(table)
    assert ID in told.getvalue()


def test_a_long_word_goes_on_in_the_next_line() -> None:
    table = Table(folded("stages"))
    table.add_row("recognition:succeeded")
    told = io.StringIO()
    Console(file=told, width=14).print(table)
    assert "".join(each for each in told.getvalue() if each.isalpha() or each == ":").endswith(
        "recognition:succeeded"
    )


def test_a_table_without_rows_has_its_header() -> None:
    told = io.StringIO()
    Console(file=told, width=80).print(Table(whole("id", [])))
    assert "id" in told.getvalue()
