"""The command line's view of the REST API: submit, watch, look, act.

The HTTP library is imported by the first request: a worker, which sends none, starts a tenth sooner so.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import MillraceError, StoreUnavailable

if TYPE_CHECKING:
    import httpx
    from httpx_sse import ServerSentEvent

Json = dict[str, Any]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds before a stream that broke is opened again; doubled while it does not answer."""


class RestClient:
    """A client of one API, blocking: one command does one thing."""

    def __init__(self, url: str) -> None:
        import httpx

        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url, timeout=httpx.Timeout(30, read=60), trust_env=False)

    def submit(self, path: Path, fields: Mapping[str, str], idempotency_key: str | None = None) -> Any:
        """Submit a file; the body is streamed."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        with path.open("rb") as file:
            return self._json(
                "POST", "/v1/jobs", files={"file": (path.name, file)}, data=dict(fields), headers=headers
            )

    def get(self, path: str, **query: str | int) -> Any:
        """Return what a GET answers."""
        return self._json("GET", path, params=query)

    def post(self, path: str, **query: str) -> Any:
        """Return what a POST without body answers."""
        return self._json("POST", path, params=query)

    def put_form(self, path: str, fields: Mapping[str, str], document: Path | None) -> Any:
        """Return what a PUT of a form answers, with a file when there is one; its body is streamed."""
        if document is None:  # a form of several parts, also without a file
            return self._json("PUT", path, files={name: (None, value) for name, value in fields.items()})
        with document.open("rb") as file:
            return self._json("PUT", path, files={"file": (document.name, file)}, data=dict(fields))

    def put_json(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return what a PUT with a JSON body answers."""
        return self._json("PUT", path, json=dict(body))

    def delete(self, path: str) -> None:
        """Delete something."""
        self._request("DELETE", path)

    def post_json(self, path: str, body: Mapping[str, Any], *, patient: bool = False, **query: str) -> Any:
        """Return what a POST with a JSON body answers; when `patient`, however long that takes."""
        options = {"timeout": None} if patient else {}
        return self._json("POST", path, json=dict(body), params=query, **options)

    def events(self, path: str) -> Iterator[tuple[str, Json]]:
        """Yield the events of a stream until it ends, coming back by the last id when the line breaks.

        Raises:
            StoreUnavailable: the API did not come back within ten tries, about half a minute.
        """
        from httpx import TransportError
        from httpx_sse import SSEError

        last, failures = "", 0
        while failures < 10:
            try:
                with self._stream(path, last) as events:
                    for event in events:
                        last, failures = event.id or last, 0
                        yield event.event, json.loads(event.data or "{}")
                        if event.event == "end":
                            return
            except (TransportError, SSEError, StoreUnavailable):
                time.sleep(min(_FIRST_PAUSE * 2**failures, _LONGEST_PAUSE))
                failures += 1
        raise StoreUnavailable(f"{self._url} does not answer any more")

    @contextmanager
    def _stream(self, path: str, last: str) -> "Iterator[Iterator[ServerSentEvent]]":
        from httpx_sse import connect_sse

        headers = {"Last-Event-ID": last} if last else {}
        with connect_sse(self._http, "GET", path, headers=headers) as source:
            if source.response.is_error:
                source.response.read()
                raise _error(source.response)
            yield source.iter_sse()

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self._request(method, path, **options).json()

    def _request(self, method: str, path: str, **options: Any) -> "httpx.Response":
        from httpx import TransportError

        try:
            response = self._http.request(method, path, **options)
        except TransportError as error:
            raise StoreUnavailable(
                f"no API answers at {self._url} ({error}): "
                "start one with `millrace up`, or name yours with --url"
            ) from error
        if response.is_error:
            raise _error(response)
        return response


def _error(response: "httpx.Response") -> MillraceError:
    try:
        detail = response.json().get("detail", response.text)
    except ValueError:
        detail = response.text
    kind = StoreUnavailable if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE else MillraceError
    return kind(f"{response.status_code}: {detail}")
