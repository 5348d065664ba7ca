"""Amazon Textract: asked by the worker itself, as child processes have no credentials.

They come by the usual chain of AWS: environment, profile, container or instance role. A page goes out
as a JPEG; places come back as shares of its width and height, in the direction of reading.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import boto3
from anyio import to_thread
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from pipeline import PermanentError, Snooze, TemporaryError
from stages.ocr.fragment import Fragment, FragmentWord, Recognised, enclosing
from stages.outputs import Box

Point = tuple[float, float]

_BUSY = frozenset(("ThrottlingException", "ProvisionedThroughputExceededException", "LimitExceededException"))
_DOCUMENT = frozenset(
    (
        "BadDocumentException",
        "UnsupportedDocumentException",
        "DocumentTooLargeException",
        "InvalidParameterException",
    )
)
_PASSING = frozenset(("InternalServerError", "ServiceUnavailable", "RequestTimeout"))
_PAUSE = timedelta(seconds=15)
"""Until a service that asks to slow down is asked again."""
_CONFIG = Config(
    connect_timeout=10,
    read_timeout=60,
    retries={"total_max_attempts": 1},  # the pipeline retries, and counts
)


class TextractEngine:
    """A client of Amazon Textract; safe to be used by many pages at once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.name = f"textract (boto3 {version('boto3')})"

    @classmethod
    def by_environment(cls) -> "TextractEngine":
        """Return the client that the environment describes; made once.

        Raises:
            PermanentError: it describes none; the message says what to set.
        """
        try:
            return _made()
        except (NoRegionError, ProfileNotFound, PartialCredentialsError) as error:
            raise _not_configured(error) from error

    async def recognise(self, image: bytes, size: tuple[float, float]) -> Recognised:
        """Return what the service reads in a JPEG of a page of that size, which boxes are in.

        Raises:
            Snooze: the service asks to slow down.
            TemporaryError: it can't be reached, or failed.
            PermanentError: no credentials, no permission, or an image that it doesn't take.
        """
        answer = await to_thread.run_sync(self._ask, image, abandon_on_cancel=True)
        return read_answer(answer, size, self.name)

    def _ask(self, image: bytes) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = self._client.detect_document_text(Document={"Bytes": image})
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise _not_configured(error) from error
        except ClientError as error:
            raise _refused(error) from error
        except BotoCoreError as error:
            raise TemporaryError(f"Textract could not be reached: {error}") from error
        return answer


@lru_cache(maxsize=1)
def _made() -> TextractEngine:
    return TextractEngine(boto3.client("textract", config=_CONFIG))


def _not_configured(error: Exception) -> PermanentError:
    return PermanentError(
        f"Textract can't be asked ({error}): give the worker AWS credentials and a region, such as "
        "AWS_PROFILE or a role, and AWS_DEFAULT_REGION"
    )


def _refused(error: ClientError) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _BUSY or status == 429:
        return Snooze(_PAUSE, f"Textract asks to slow down ({code})")
    if code in _DOCUMENT:
        return PermanentError(f"Textract does not take the page ({error}): ask for another engine")
    if code in _PASSING or status >= 500:
        return TemporaryError(f"Textract failed: {error}")
    return PermanentError(
        f"Textract refuses ({error}): see to the worker's credentials and their permission "
        "`textract:DetectDocumentText`"
    )


def read_answer(answer: Mapping[str, Any], size: tuple[float, float], engine: str) -> Recognised:
    """Return the lines of an answer of DetectDocumentText, with boxes on the page the right way up."""
    blocks = {block["Id"]: block for block in answer["Blocks"]}
    lines = [block for block in blocks.values() if block["BlockType"] == "LINE"]
    turns = _turns(lines, size)
    fragments = []
    for line in lines:
        words = tuple(_word(block, size, turns) for block in _words_of(line, blocks))
        if words:
            angle = _angle(_polygon(line, size, turns))
            fragments.append(Fragment(words, enclosing(word.box for word in words), angle))
    return Recognised(fragments, turns, engine)


def _words_of(
    line: Mapping[str, Any], blocks: Mapping[str, Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    for relation in line.get("Relationships", ()):
        if relation["Type"] == "CHILD":
            yield from (blocks[id_] for id_ in relation["Ids"] if blocks[id_]["BlockType"] == "WORD")


def _word(block: Mapping[str, Any], size: tuple[float, float], turns: int) -> FragmentWord:
    points = _polygon(block, size, turns)
    box: Box = enclosing((x, y, x, y) for x, y in points)
    return FragmentWord(block["Text"], box, min(max(block["Confidence"] / 100, 0.0), 1.0))


def _polygon(block: Mapping[str, Any], size: tuple[float, float], turns: int) -> list[Point]:
    """Return the corners on the turned page, in page units: those of the text's upper edge first."""
    width, height = size
    corners = [(each["X"] * width, each["Y"] * height) for each in block["Geometry"]["Polygon"]]
    for _ in range(turns):
        corners = [(y, width - x) for x, y in corners]
        width, height = height, width
    return corners


def _turns(lines: Sequence[Mapping[str, Any]], size: tuple[float, float]) -> int:
    """Return the quarter turns, counter-clockwise, after which most of the text runs across."""
    directions: Counter[int] = Counter()
    for line in lines:
        quarter = round(_angle(_polygon(line, size, 0)) / (math.pi / 2)) % 4
        directions[quarter] += len(line["Text"])
    return directions.most_common(1)[0][0] if directions else 0


def _angle(corners: Sequence[Point]) -> float:
    (x1, y1), (x2, y2) = corners[:2]
    return math.atan2(y2 - y1, x2 - x1)
