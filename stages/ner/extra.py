"""Packages that an engine needs beyond those of the rules, each an extra."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline import PermanentError


@contextmanager
def required(extra: str) -> Iterator[None]:
    """Around imports of an engine's packages.

    Raises:
        PermanentError: a package is missing; the message names it and the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        raise PermanentError(
            f"the NER stage's engine {extra!r} needs {error.name or error}, which is not installed on this "
            f"worker: run `pip install 'millrace[{extra}]'`"
        ) from error
