"""Millrace's engine."""

from pipeline.context import Document, Progress, StageContext
from pipeline.errors import PermanentError, TemporaryError
from pipeline.stage import Pipeline, RetryPolicy, Stage, stage
from pipeline.trial import run_stage

__all__ = [
    "Document",
    "PermanentError",
    "Pipeline",
    "Progress",
    "RetryPolicy",
    "Stage",
    "StageContext",
    "TemporaryError",
    "run_stage",
    "stage",
]
