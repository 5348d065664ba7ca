"""What an output depends on besides what its stage was given: the stage's version, its params, its engine.

Where these and everything before the stage are what they were, its earlier output is as good as a new one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DIGITS = 32
"""Of a hash of params, in hexadecimal: 128 bits, as every output has one."""

LONGEST_ENGINE = 200


@dataclass(frozen=True, slots=True)
class Recipe:
    """By what an output was made."""

    version: int
    """Of the stage."""
    params: str = ""
    """A hash of what the job gave the stage; empty for nothing."""
    engine: str | None = None
    """As the stage says itself; None where it says nothing."""


def params_hash(params: Mapping[str, Any]) -> str:
    """Return the hash of a stage's params as they were given, defaults left out; empty for none."""
    if not params:
        return ""
    encoded = json.dumps(params, sort_keys=True, default=repr).encode()
    return hashlib.sha256(encoded).hexdigest()[:_DIGITS]
