"""Pictures of pages, drawn on demand in a child process, as documents are not to be trusted."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathNumber
from pydantic import ValidationError

from api.problems import answers
from api.services import AClient, AJobId
from pipeline.client import Client
from pipeline.errors import PermanentError
from pipeline.processes import Processes
from stages.ocr.reader import draw_page
from stages.ocr.settings import PageSettings
from stages.outputs import Box, RedactedOutput
from stages.redact import redact
from stages.redact.blackening import black_boxes

router = APIRouter(prefix="/v1", responses=answers(422, 503))

_TIME = timedelta(seconds=60)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
}
_LASTING = "private, max-age=3600"
"""A job's document never changes."""
_CHANGING = "private, no-store"
"""What is masked changes when the stage that masks is run again."""
_PNG: dict[int | str, dict[str, Any]] = {
    200: {"description": "The page as it is shown.", "content": {"image/png": {}}}
}


@router.get("/jobs/{id}/pages/{number}/image", response_class=Response, responses={**answers(404), **_PNG})
async def page_image(
    request: Request,
    job: AJobId,
    number: Annotated[int, PathNumber(ge=1, le=1_000_000, description="As in the output of `ocr`.")],
    client: AClient,
    dpi: Annotated[int, Query(ge=36, le=300)] = 100,
    redacted: Annotated[bool, Query(description="Black out what the stage `redact` masked.")] = False,
) -> Response:
    """Return the picture of a page of a PDF or of an image, as a PNG of at most 4,000 pixels a side.

    `dpi` counts for PDFs; an image's own pixels are returned. With `redacted` the words are painted over
    that the stage `redact` masked in the run that is the job's result; a page of which their places aren't
    known is refused. What was not read as text, such as handwriting, stays to be seen.
    """
    black = await _black_boxes(client, job, number) if redacted else []
    children: Processes = request.app.state.children
    with TemporaryDirectory(prefix="millrace-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, "document")
        params = await client.save_document(job, path)
        password = params.get("ocr", {}).get("password")
        settings = PageSettings(dpi, password=password if isinstance(password, str) else None)
        content = await children.run(
            0, draw_page, str(path), number, settings, black, timeout=_TIME, cpu=_TIME
        )
    headers = {**_HEADERS, "Cache-Control": _CHANGING if redacted else _LASTING}
    return Response(content, media_type="image/png", headers=headers)


async def _black_boxes(client: Client, job: str, number: int) -> list[Box]:
    output = await client.output(job, redact.name)
    try:
        masked = RedactedOutput.model_validate(output)
    except ValidationError as error:
        raise PermanentError(
            f"the output of this job's stage `{redact.name}` is not that of the built-in one: nobody knows "
            "what to black out; use `stages.redact.redact` in its pipeline"
        ) from error
    return black_boxes(masked, number)
