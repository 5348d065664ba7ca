"""What a refused write says of the change that met it alone."""

from pymongo.errors import OperationFailure

from pipeline.errors import MillraceError, PermanentError, StateConflict
from pipeline.store.driver import translate

_DUPLICATE_KEY = 11000
_REFUSED_CONTENT = frozenset(
    {
        2,  # BadValue
        15,  # Overflow: nested too deep
        121,  # DocumentValidationFailure
        10334,  # BSONObjectTooLarge
        17280,  # an index key too large
        17419,  # larger than 16 MiB after an update
        17420,  # the same, of a replacement
    }
)
"""Server codes that put the blame on what was written, not on the state of things."""


def refusal_of(error: OperationFailure) -> MillraceError:
    """Return what an error that only this change met says of it. Never with what it wrote."""
    failures = (error.details or {}).get("writeErrors") or [{"code": error.code, "errmsg": str(error)}]
    code, told = failures[0].get("code"), failures[0].get("errmsg")
    if code == _DUPLICATE_KEY:
        return StateConflict(f"what this change creates exists already: {told}")
    if code in _REFUSED_CONTENT:
        return PermanentError(f"the database refuses what this attempt wrote ({code}): {told}")
    return translate(error)
