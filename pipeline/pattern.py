"""A name with places in it, such as `openai/{tenant}`, that differs with a task's tenant and params."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from pipeline.errors import DefinitionError

_PLACE = re.compile(r"\{(\w+)\}")
_LONGEST = 100


def check_places(
    stage: str, what: str, pattern: str | None, params: Collection[str], secret: Collection[str]
) -> None:
    """Raise a DefinitionError if a pattern of a stage names what is no param of it, or a secret one."""
    named = set(_PLACE.findall(pattern or ""))
    if unknown := named - {"tenant", *params}:
        raise DefinitionError(
            f"stage {stage!r}: its {what} names {sorted(unknown)}, which are no params of it"
        )
    if told := named.intersection(secret):
        raise DefinitionError(f"stage {stage!r}: its {what} names {sorted(told)}, which are secret")


def filled(pattern: str, tenant: str, params: Mapping[str, Any]) -> str:
    """Return the name for a tenant and params of the stage, cut at 100 characters."""
    values = {"tenant": tenant, **params}
    return _PLACE.sub(lambda place: str(values.get(place[1], "")), pattern)[:_LONGEST]


def likeness(pattern: str | None) -> re.Pattern[str] | None:
    """Return what all names of a pattern are like; None when they are all the same, or without a pattern."""
    if pattern is None or not _PLACE.search(pattern):
        return None
    return re.compile(".*".join(re.escape(each) for each in _PLACE.split(pattern)[::2]))
