"""The only package that imports the driver: domain verbs over MongoDB.

Every verb's docstring says what is atomic, and what losing a race returns. Driver errors are
translated where they leave (`pipeline.errors`), with the driver's own as their cause.
"""

from pipeline.store.store import Store

__all__ = ["Store"]
