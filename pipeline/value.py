"""Values: dataclasses of which nobody changes one that was made."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a dataclass with slots that is frozen for the type checker, and for it alone.

    One that is frozen at run time sets each field by a call, which takes four times as long, and a dozen are
    made for every hop of a job.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
