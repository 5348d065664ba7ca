"""Where the command line starts: `millrace`, or `python -m api`."""

import gc
import sys
from collections.abc import Sequence

IMPORTED = 200_000
"""New objects before Python looks for reference cycles. What is imported stays, so there are none to find,
and looking after every 700 took a fifth of a worker's start. A worker of the three stages imports 195,000."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(IMPORTED)
    from api.process_commands import app
    from api.refusals import run

    if not _starts_worker(sys.argv):
        import api.cli  # noqa: F401 -- adds the other commands
    run(app)


def _starts_worker(words: Sequence[str]) -> bool:
    """Whether the other commands can be left out: importing them is a tenth of a worker's start."""
    return words[1:2] == ["worker"]


if __name__ == "__main__":
    main()
