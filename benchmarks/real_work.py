"""Pages a second through the real OCR stage, beside the same engine called in a bare process pool.

One long scanned document, and as many documents of one scanned page. Ours: a worker process with its default
settings, timed from the submission (the bytes are in the database) to the last job's end. The reference: a
`ProcessPoolExecutor` of as many processes, each with the same model on one thread, which looks at the files
and reads their pages by the same functions, from the disk, and keeps nothing. The models of both are loaded
before.
"""

import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from anyio import to_thread

from benchmarks.figure import Figure
from benchmarks.ground import Form, fresh_store, verify
from benchmarks.scans import one_page_documents, scanned_document
from benchmarks.worker_process import until_registered, worker_process
from pipeline import Pipeline
from pipeline.client import Client
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from stages.ocr import OcrParams, ocr
from stages.ocr.reader import Source, inspect, read_page
from stages.outputs import Page

SCANS = Pipeline("scans", [ocr])
_NAME = "benchmarks.real_work:SCANS"
_TARGET = 0.95
_SETTINGS = OcrParams().settings()


async def measure(form: Form) -> list[Figure]:
    """Read the same documents by a worker, then by a bare pool."""
    pages, share = form.size(100, 4), form.size(100, 25) / 100
    with TemporaryDirectory(prefix="millrace-scans-") as folder:
        warm = scanned_document(Path(folder, "warm.pdf"), WorkerSettings().processes, share)
        long = [scanned_document(Path(folder, "long.pdf"), pages, share)]
        short = one_page_documents(Path(folder), pages, share)
        async with fresh_store() as store:
            async with worker_process(store, "reader", pipeline=_NAME) as worker:
                await until_registered(store, worker)
                await _read(store, [warm])
                ours = [await _read(store, paths) for paths in (long, short)]
            await verify(store)
        async with _pool() as pool:
            await _read_bare(pool, [warm])
            bare = [await _read_bare(pool, paths) for paths in (long, short)]
    names = ("long_document", "one_page_documents")
    return [
        _figure(name, pages, share, mine, reference)
        for name, mine, reference in zip(names, ours, bare, strict=True)
    ]


def _figure(name: str, pages: int, share: float, seconds: float, reference: float) -> Figure:
    return Figure(
        f"real_work.{name}",
        pages / seconds,
        "pages/s",
        reference=pages / reference,
        target=_TARGET,
        note=(
            f"{pages} scanned pages, {share:.0%} of each, by {WorkerSettings().processes} processes; "
            "reference: a bare pool"
        ),
    )


async def _read(store: Store, paths: Sequence[Path]) -> float:
    """Let the worker read documents; returns the seconds from the first submission to the last job's end.

    Raises:
        RuntimeError: a job failed.
    """
    client = Client(store)
    stored = [await client.upload(_content(path), path.name) for path in paths]
    async with store.changes.open(FEED) as changes:
        began = time.perf_counter()
        left = {
            (await client.submit(each, path.name, SCANS.name))[0].id
            for path, each in zip(paths, stored, strict=True)
        }
        while left:
            event = await changes.read()
            if (
                event is not None
                and event.id in left
                and event.fields.get("state") in ("succeeded", "failed")
            ):
                if event.fields["state"] == "failed":
                    raise RuntimeError(f"a document could not be read: {await client.get(event.id)}")
                left.remove(event.id)
        return time.perf_counter() - began


async def _content(path: Path) -> AsyncIterator[bytes]:
    yield await anyio.Path(path).read_bytes()


@asynccontextmanager
async def _pool() -> AsyncIterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(WorkerSettings().processes, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        await to_thread.run_sync(partial(pool.shutdown, cancel_futures=True))


async def _read_bare(pool: ProcessPoolExecutor, paths: Sequence[Path]) -> float:
    """Let the pool read documents; returns the seconds that it took."""
    began = time.perf_counter()
    await to_thread.run_sync(_read_all, pool, paths)
    return time.perf_counter() - began


def _read_all(pool: ProcessPoolExecutor, paths: Sequence[Path]) -> None:
    if len(paths) == 1:
        source = pool.submit(inspect, str(paths[0]), _SETTINGS).result()
        pages = [pool.submit(read_page, source, number, _SETTINGS) for number in _numbers(source)]
    else:
        pages = [pool.submit(_read_first_page, str(path)) for path in paths]
    for page in pages:
        page.result()


def _numbers(source: Source) -> range:
    return range(1, source.pages + 1)


def _read_first_page(path: str) -> Page:
    return read_page(inspect(path, _SETTINGS), 1, _SETTINGS)
