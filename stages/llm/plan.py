"""What a request of this stage holds beside the document's text."""

import json

from stages.llm.answer import answer_schema
from stages.llm.form import Form
from stages.llm.params import LlmParams
from stages.llm.prompt import longest_hints, reading
from stages.outputs import NerOutput


def around(entities: NerOutput, params: LlmParams, form: Form | None) -> list[str]:
    """Return the longest that it can be: instructions, hints and the schema of the answer."""
    messages = reading({}, [], [], params, form)
    said = [each["content"] for each in messages]
    return [*said, longest_hints(entities.entities), json.dumps(answer_schema(form))]
