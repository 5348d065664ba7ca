"""How often a process of Millrace's own looks for reference cycles."""

import sys

import anyio

_ASK = """
import gc
from pipeline.cycles import search_seldom
search_seldom()
before = gc.get_stats()[0]["collections"]
kept = [[] for _ in range(40_000)]
assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()
assert gc.get_stats()[0]["collections"] == before
del kept
cycles = [[] for _ in range(120_000)]
assert gc.get_stats()[0]["collections"] > before
"""


async def test_what_is_loaded_is_left_out_and_the_rest_is_searched_after_many_objects() -> None:
    await anyio.run_process([sys.executable, "-c", _ASK], stderr=None)
