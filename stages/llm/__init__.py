"""The LLM stage and what configures it."""

from stages.llm.params import LlmParams
from stages.llm.settings import LlmSettings
from stages.llm.stage import llm

__all__ = ["LlmParams", "LlmSettings", "llm"]
