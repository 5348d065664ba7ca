"""Params that a job brings for its pipeline's stages, checked before anything of it runs."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.errors import PermanentError, SubmissionError
from pipeline.stage import Pipeline, Stage
from pipeline.store import Store


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


def params_of(stage: Stage, params: Mapping[str, Any]) -> BaseModel | None:
    """Return a stage's own of a job's params; None for a stage that takes none and is given none.

    Raises:
        PermanentError: they are not what it takes, as when another version of it does; neither the message
            nor the trace has anything of the values, among which may be passwords.
    """
    given = params.get(stage.name, {})
    if not (given or stage.takes_params):
        return None
    try:
        return stage.params.model_validate(given)
    except ValidationError as error:
        told = explain(error.errors())
    raise PermanentError(f"the params of stage {stage.name!r} are not valid: {told}")


async def sealed(
    store: Store, tenant: str, params: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, dict[str, Any]]:
    """Return params, by stage, as they are stored: what is secret of them is encrypted.

    What is secret is known of stages that a worker has registered, or this process knows; beside that, each
    `SecretStr` is.

    Raises:
        SubmissionError: there is a secret, and no key.
    """
    return store.vault.sealed(tenant, params, await store.pipelines.secrets(params)) if params else {}


def explain(errors: Iterable[Mapping[str, Any]]) -> str:
    """Say in one line what pydantic found wrong, where, and nothing of the values themselves."""
    return "; ".join(_told(".".join(str(part) for part in each["loc"]), each["msg"]) for each in errors)


def _told(place: str, message: str) -> str:
    return f"{place}: {message}" if place else message
