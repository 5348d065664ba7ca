"""Params that a job brings for its pipeline's stages, checked before anything of it runs."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from pipeline.errors import SubmissionError
from pipeline.stage import Pipeline


def check_params(pipeline: Pipeline, params: Mapping[str, Any]) -> None:
    """Check params, by stage, against the stages' own models.

    Raises:
        SubmissionError: they are for a stage that the pipeline doesn't have, or not what it takes; the
            message says which and why, and nothing of the values themselves.
    """
    for name, given in params.items():
        try:
            pipeline[name].params.model_validate(given)
        except KeyError as error:
            raise SubmissionError(
                f"pipeline {pipeline.name!r} has no stage {name!r} to give params to"
            ) from error
        except ValidationError as error:
            raise SubmissionError(
                f"the params of stage {name!r} are not valid: {explain(error.errors())}"
            ) from error


def explain(errors: Iterable[Mapping[str, Any]]) -> str:
    """Say in one line what pydantic found wrong, where, and nothing of the values themselves."""
    return "; ".join(_told(".".join(str(part) for part in each["loc"]), each["msg"]) for each in errors)


def _told(place: str, message: str) -> str:
    return f"{place}: {message}" if place else message
