"""Resident memory over time."""

import statistics

import anyio

from tests.chaos.kept import Kept

EVERY = 5.0
"""Seconds between two looks."""
MIB = 1024 * 1024
SLACK = 24 * MIB
FACTOR = 1.2
ENOUGH = 40
"""Samples without which nothing is said: three minutes' worth."""


class Memory:
    """Samples the memory of processes that are not killed."""

    def __init__(self, watched: list[Kept]) -> None:
        self._watched = watched
        self.samples: dict[str, list[int]] = {each.role: [] for each in watched}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            for each in self._watched:
                resident = each.memory()
                if resident:
                    self.samples[each.role].append(resident)
            await anyio.sleep(EVERY)

    def table(self) -> dict[str, dict[str, float]]:
        """Return, in MiB, what each had in the second and in the last quarter, and at most."""
        return {
            role: {
                "second_quarter": round(_quarter(samples, 1) / MIB, 1),
                "last_quarter": round(_quarter(samples, 3) / MIB, 1),
                "most": round(max(samples, default=0) / MIB, 1),
            }
            for role, samples in self.samples.items()
        }

    def grown(self) -> list[str]:
        """Return those that have grown since their second quarter."""
        return [
            f"{role} has grown from {_quarter(samples, 1) / MIB:.0f} to {_quarter(samples, 3) / MIB:.0f} MiB"
            for role, samples in self.samples.items()
            if len(samples) >= ENOUGH and _quarter(samples, 3) > FACTOR * _quarter(samples, 1) + SLACK
        ]


def _quarter(samples: list[int], number: int) -> float:
    size = max(1, len(samples) // 4)
    part = samples[number * size : (number + 1) * size]
    return statistics.median(part) if part else 0.0
