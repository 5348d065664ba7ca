"""Where the command line starts: `millrace`, or `python -m api`."""

import gc

IMPORTED = 50_000
"""New objects before Python looks for reference cycles. What is imported stays, so there are none to find:
looking after every 700 took a fifth of a worker's start."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(IMPORTED)
    from api.cli import main as run

    run()


if __name__ == "__main__":
    main()
