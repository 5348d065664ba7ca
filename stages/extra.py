"""The packages that stages need beyond Millrace itself, by the extra that installs them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline import PermanentError


@contextmanager
def required_packages(stage: str, extra: str = "engines") -> Iterator[None]:
    """Around imports of modules that need them; `stage` is its name for people, such as `OCR`.

    Raises:
        PermanentError: a package is missing; the message names it and the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        raise PermanentError(
            f"the {stage} stage needs {error.name or error}, which is not installed on this worker: "
            f"run `pip install 'millrace[{extra}]'`"
        ) from error
