"""Tables of the command line."""

from collections.abc import Sequence

from rich.table import Column


def whole(header: str, cells: Sequence[str]) -> Column:
    """Return a column whose cells are never cut, as they are copied; the others become narrower."""
    return Column(header, no_wrap=True, overflow="fold", min_width=max(map(len, (header, *cells))))


def folded(header: str) -> Column:
    """Return a column whose long words go on in the next line; elsewhere they end in an ellipsis."""
    return Column(header, overflow="fold")
