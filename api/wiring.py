"""The composition root: which pipelines this installation runs."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import DefinitionError
from pipeline.stage import Pipeline


def documents() -> Pipeline:
    """Return the built-in pipeline: OCR, then named entities, then an LLM.

    Raises:
        DefinitionError: the engines are not installed.
    """
    try:
        from stages.llm import llm
        from stages.ner import ner
        from stages.ocr import ocr
    except ImportError as error:
        raise DefinitionError(
            f"the built-in stages need {error.name}: install it with `pip install 'millrace[engines]'`"
        ) from error
    return Pipeline("documents", [ocr, ner, llm], version=1)


def redacted() -> Pipeline:
    """Return the built-in pipeline whose LLM stage sees no personal data: masked before, unmasked after.

    Raises:
        DefinitionError: the engines are not installed.
    """
    from stages.redact import redact, unmask

    ocr, ner, llm = documents().stages
    return Pipeline("documents-redacted", [ocr, ner, redact, llm, unmask], version=1)


BUILT_IN = {"documents": documents, "documents-redacted": redacted}


def load(names: Sequence[str]) -> list[Pipeline]:
    """Return the pipelines by `package.module:name` or the name of a built-in one; `documents` when none.

    Modules are also looked for in the working directory, after everything installed.

    Raises:
        DefinitionError: there is no such module or pipeline.
    """
    if not names:
        return [documents()]
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return [_load(name) for name in names]


def _load(name: str) -> Pipeline:
    if name in BUILT_IN:
        return BUILT_IN[name]()
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise DefinitionError(
            f"--pipeline {name}: {error}; give it as package.module:name, or one of {', '.join(BUILT_IN)}"
        ) from error
    if not isinstance(found, Pipeline):
        raise DefinitionError(f"--pipeline {name} is {type(found).__name__}, not a Pipeline")
    return found
