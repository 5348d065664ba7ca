"""The LLM stage and what configures it."""

from stages.endpoint.settings import LlmSettings
from stages.llm.params import LlmParams
from stages.llm.stage import llm

__all__ = ["LlmParams", "LlmSettings", "llm"]
