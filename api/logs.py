"""Logging of Millrace's own processes: one line each, to standard error."""

import logging
import os

_EXTRA = ("job", "task", "attempt")


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        told = " ".join(f"{name}={getattr(record, name)}" for name in _EXTRA if hasattr(record, name))
        return f"{line} {told}" if told else line


def configure_logging() -> None:
    """Log to standard error: ours from MILLRACE_LOG_LEVEL (default INFO) on, others' warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("millrace").setLevel(os.environ.get("MILLRACE_LOG_LEVEL", "INFO").upper())
