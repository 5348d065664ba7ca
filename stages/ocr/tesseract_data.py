"""Where Tesseract's language data is: TESSDATA_PREFIX, or where Debian and others put it."""

import os
from pathlib import Path

from pipeline import PermanentError
from stages.ocr.language import long_name

_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)
_DEFAULT = ("en",)


def data_folder() -> Path | None:
    """Return the first folder that there is; that of TESSDATA_PREFIX decides where it is set."""
    given = os.environ.get("TESSDATA_PREFIX")
    candidates = (given, f"{given}/tessdata") if given else _FOLDERS
    return next((path for path in map(Path, candidates) if any(path.glob("*.traineddata"))), None)


def missing_languages(languages: tuple[str, ...]) -> list[str]:
    """Return what of the languages has no data here, by Tesseract's names."""
    folder = data_folder()
    names = map(long_name, languages or _DEFAULT)
    return [name for name in names if folder is None or not (folder / f"{name}.traineddata").is_file()]


def languages_and_folder(languages: tuple[str, ...]) -> tuple[str, str]:
    """Return Tesseract's own way of saying which languages to read, and where their data is.

    Raises:
        PermanentError: data is missing; the message says which and how to install it.
    """
    folder, missing = data_folder(), missing_languages(languages)
    if folder is None or missing:
        packages = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in missing)
        raise PermanentError(
            f"Tesseract has no data for {', '.join(missing)} on this worker: run "
            f"`apt-get install {packages}`, or set TESSDATA_PREFIX to the folder that has it"
        )
    return "+".join(map(long_name, languages or _DEFAULT)), str(folder)
