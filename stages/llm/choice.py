"""Chooses the schema for a document: a built-in one, the deployment's, or the job's own."""

import importlib
from typing import Any

from pydantic import BaseModel

from pipeline import PermanentError
from stages.endpoint.settings import LlmSettings
from stages.llm.extractive.classify import document_type
from stages.llm.form import Form
from stages.llm.forms import FORMS, usual_form
from stages.llm.params import LlmParams

OWN = "job"
"""The name of a schema that came with the job."""


def form_of(params: LlmParams, settings: LlmSettings, text: str) -> Form | None:
    """Return the form that a job wants; None where it wants only fields by their names.

    Raises:
        PermanentError: there is no schema of that name, or it can't be loaded.
    """
    given = params.json_schema
    if given is None:
        return None
    if isinstance(given, dict):
        return Form(OWN, given)
    if given in settings.schemas:
        return _of_model(given, _load(given, settings.schemas[given]))
    name = usual_form(document_type(text)) if given == "auto" else given
    if name not in FORMS:
        known = ", ".join(sorted({"auto", *FORMS, *settings.schemas}))
        raise PermanentError(f"there is no schema {name!r} (MILLRACE_LLM_SCHEMAS); there are: {known}")
    return _of_model(name, FORMS[name])


def _of_model(name: str, model: type[BaseModel]) -> Form:
    schema = model.model_json_schema()
    # Strict endpoints ask that objects are closed to other properties.
    definitions = {key: _closed(each) for key, each in schema.get("$defs", {}).items()}
    return Form(name, {**_closed(schema), **({"$defs": definitions} if definitions else {})}, model)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return {"additionalProperties": False, **schema} if "properties" in schema else schema


def _load(name: str, place: str) -> type[BaseModel]:
    module, _, attribute = place.partition(":")
    try:
        model = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise PermanentError(
            f"MILLRACE_LLM_SCHEMAS: {name}={place}: {error}; give it as name=package.module:Model"
        ) from error
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PermanentError(f"MILLRACE_LLM_SCHEMAS: {name}={place} is no pydantic model")
    return model
