"""The OCR stage: the text of a document, page by page, with the place of every word.

One module per format reads pages (`pdf`, `image`, `word_document`, `plain_text`), `recogniser`
runs the OCR engine, `reading_order` puts its lines in the order of reading, `page_text` makes the
page of them. Everything but `stage` runs in child processes.
"""

from stages.ocr.stage import OcrParams, ocr

__all__ = ["OcrParams", "ocr"]
