"""The packages that the stage needs beyond Millrace itself: the extra `engines`."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from pipeline import PermanentError


@contextmanager
def required_packages() -> Iterator[None]:
    """Around imports of modules that need them.

    Raises:
        PermanentError: a package is missing; the message names it and the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        raise PermanentError(
            f"the OCR stage needs {error.name or error}, which is not installed on this worker: "
            "run `pip install 'millrace[engines]'`"
        ) from error


def recogniser_name() -> str:
    """Return the OCR engine and its version, such as `rapidocr 3.10.0`."""
    return f"rapidocr {version('rapidocr')}"
