"""The OCR stage: the text of a document, page by page, with the place of every word.

One module per format reads pages (`pdf`, `image`, `word_document`, `message`, `web_page`,
`plain_text`); what has a picture is
a `sheet`. The engines (`rapidocr_engine`, `tesseract_engine`, `textract_engine`) have one interface,
`engine`. `reading_order` puts their lines in the order of reading, `page_text` makes the page of them.
Everything but `stage` and the client of Textract runs in child processes.
"""

from stages.ocr.params import OcrParams
from stages.ocr.stage import ocr

__all__ = ["OcrParams", "ocr"]
