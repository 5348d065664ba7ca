"""The extractive engine: what stands in where no LLM endpoint is set.

It counts keywords, picks among the entities found before and ranks sentences. It understands
nothing and is not an LLM; its output says so with `engine="extractive"`.
"""

from stages.llm.extractive.engine import extract

__all__ = ["extract"]
