"""The least that a FastAPI route has to do to take a document: `python -m benchmarks.bare_submissions`.

An `UploadFile`; its SHA-256; small ones inside the job, larger ones by the driver's own GridFS upload; one
insert of the job. The same driver, write concern, chunk size and job as Millrace's, and nothing of its own:
no intent, no limits, no check of a form, no event stream beside it.
"""

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import FastAPI, Form, Request, UploadFile
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo import AsyncMongoClient

from pipeline.store.documents import CHUNK_BYTES, INLINE_BYTES
from pipeline.submission import job_document


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    uri, name = os.environ["MILLRACE_MONGODB_URI"], os.environ["MILLRACE_DATABASE"]
    client: AsyncMongoClient[dict[str, Any]]
    async with AsyncMongoClient(
        uri, tz_aware=True, w="majority", journal=True, readConcernLevel="majority"
    ) as client:
        app.state.jobs = client[name]["jobs"]
        app.state.bucket = AsyncGridFSBucket(client[name], "documents", chunk_size_bytes=CHUNK_BYTES)
        yield


app = FastAPI(lifespan=_lifespan)


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._file.read(size)
        self.digest.update(piece)
        self.size += len(piece)
        return piece


@app.post("/jobs", status_code=202)
async def submit(request: Request, file: UploadFile, pipeline: Annotated[str, Form()]) -> dict[str, str]:
    """Take a document."""
    name = file.filename or "unnamed"
    if (file.size or 0) <= INLINE_BYTES:
        job = job_document(pipeline, name=name, content=await file.read())
    else:
        source = _Hashed(file.file)
        file_id = await request.app.state.bucket.upload_from_stream(name, source)
        job = job_document(
            pipeline, name=name, file_id=file_id, size=source.size, sha256=source.digest.hexdigest()
        )
    await request.app.state.jobs.insert_one(job)
    return {"id": job["_id"]}


def main(port: Annotated[int, typer.Option()]) -> None:
    """Serve on loopback."""
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None)


if __name__ == "__main__":
    typer.run(main)
