"""The built-in stages: OCR, named entities, LLM. Each is one stage with its engines beside it."""
