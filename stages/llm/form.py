"""The schema that one document is read into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from stages.endpoint import json_schema


@dataclass(frozen=True, slots=True)
class Form:
    """A schema by its name. Immutable."""

    name: str
    schema: dict[str, Any]
    model: type[BaseModel] | None = None
    """The pydantic model that it was made of; its own validators are asked, too."""

    def problem(self, data: Any) -> str | None:
        """Return what is wrong with the data, in words that repeat nothing of it; None where nothing is."""
        if self.model is None:
            return json_schema.problem(self.schema, data)
        try:
            self.model.model_validate(data)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False, include_context=False)[:5]
            return "; ".join(f"data.{'.'.join(map(str, each['loc']))}: {each['type']}" for each in problems)
        return None

    def partial(self) -> Form:
        """Return the form of a part of a document, which need not have everything."""
        return Form(self.name, json_schema.partial(self.schema))
