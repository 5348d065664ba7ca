"""What reads pages here: the packages whose versions make a difference to what is read."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("rapidocr", "tesserocr", "pypdfium2")


@cache
def installed() -> str:
    """Return the packages that are installed, each with its version: a job may ask for any of them."""
    return ", ".join(told for name in _PACKAGES if (told := _told(name)))


def _told(name: str) -> str | None:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:  # an extra
        return None
