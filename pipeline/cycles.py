"""Python's search for reference cycles, for a process that does nothing but work or serve.

By default it begins after every 700 objects, and a busy worker makes that many for a dozen attempts: a fifth
of its processor time went there. Nothing is freed later than before but for what is caught in a cycle, such
as an exception with its frames: some megabytes at most, until the next search.
"""

import gc

_YOUNG, _MIDDLE, _OLD = 50_000, 20, 50


def search_seldom() -> None:
    """Search after 50,000 new objects, and never in what has been loaded so far.

    It concerns the whole process: for Millrace's own ones, and for an application that wants the same.
    """
    gc.freeze()  # without a search before: it takes longer than what it finds is worth
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
