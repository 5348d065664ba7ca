"""Languages: their names, and which engine reads them."""

from pipeline import PermanentError

PATTERN = r"^[a-z]{2,3}(_[a-z]+)*$"
"""ISO 639-1 (`de`), ISO 639-3 (`deu`), or a name of Tesseract's (`chi_sim`, `deu_latf`)."""

_LONG: dict[str, str] = {
    "ar": "ara",
    "be": "bel",
    "bg": "bul",
    "bn": "ben",
    "ca": "cat",
    "cs": "ces",
    "cy": "cym",
    "da": "dan",
    "de": "deu",
    "el": "ell",
    "en": "eng",
    "es": "spa",
    "et": "est",
    "eu": "eus",
    "fa": "fas",
    "fi": "fin",
    "fr": "fra",
    "ga": "gle",
    "gl": "glg",
    "he": "heb",
    "hi": "hin",
    "hr": "hrv",
    "hu": "hun",
    "hy": "hye",
    "id": "ind",
    "is": "isl",
    "it": "ita",
    "ja": "jpn",
    "ka": "kat",
    "ko": "kor",
    "la": "lat",
    "lb": "ltz",
    "lt": "lit",
    "lv": "lav",
    "mk": "mkd",
    "ms": "msa",
    "mt": "mlt",
    "nb": "nor",
    "nl": "nld",
    "nn": "nor",
    "no": "nor",
    "pl": "pol",
    "pt": "por",
    "ro": "ron",
    "ru": "rus",
    "sk": "slk",
    "sl": "slv",
    "sq": "sqi",
    "sr": "srp",
    "sv": "swe",
    "ta": "tam",
    "te": "tel",
    "th": "tha",
    "tr": "tur",
    "uk": "ukr",
    "ur": "urd",
    "vi": "vie",
    "zh": "chi_sim",
}
TEXTRACT = frozenset(("eng", "fra", "deu", "ita", "por", "spa"))
RAPIDOCR = frozenset(
    (
        *TEXTRACT,
        *("cat", "ces", "cym", "dan", "est", "eus", "fin", "gle", "glg", "hrv", "hun", "isl", "lat", "ltz"),
        *("lit", "lav", "mlt", "nor", "nld", "pol", "ron", "slk", "slv", "sqi", "swe", "tur"),
        *("chi_sim", "chi_tra", "zho", "jpn"),
    )
)


def long_name(language: str) -> str:
    """Return the name by which the engines' lists, and Tesseract's data, go."""
    return _LONG.get(language, language)


def unread(languages: tuple[str, ...], engine: frozenset[str]) -> list[str]:
    """Return the languages that an engine does not read."""
    return [each for each in languages if long_name(each) not in engine]


def check_languages(name: str, languages: tuple[str, ...], engine: frozenset[str]) -> None:
    """Refuse languages that an engine does not read.

    Raises:
        PermanentError: they are named, with the engine that may read them.
    """
    if missing := unread(languages, engine):
        raise PermanentError(
            f"the engine {name} does not read {', '.join(missing)}: ask for the engine tesseract, or auto"
        )
