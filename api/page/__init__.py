"""The page at `/`: static files under a policy that lets no injected script or style run."""

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_FILES = Path(__file__).with_name("static")

_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    # Where the browser knows trusted types, no string can become markup or script at all.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)

_HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The names carry no version: ask every time, and be told 304 nearly always.
    "Cache-Control": "no-cache",
}


class _PageFiles(StaticFiles):
    """Static files that all carry the page's headers, answers of 304 included."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        """Answer as `StaticFiles` does, with the headers on top."""
        response = super().file_response(*arguments, **named)
        response.headers.update(_HEADERS)
        return response


def page_routes() -> list[BaseRoute]:
    """Return the routes of the page: `/`, and its files under `/page`, for GET and HEAD.

    They need no credentials and hold no data: whatever the page shows, it reads from the REST API.
    """
    files = _PageFiles(directory=_FILES)

    async def index(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    return [Route("/", index, name="page"), Mount("/page", files, name="page-files")]
