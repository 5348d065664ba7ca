"""One trace per job, across processes: real workers, real OTLP, a collector that keeps what it gets."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import anyio
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from pipeline import telemetry
from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.support import submit, until, worker_process


class Collector:
    """An OTLP/HTTP endpoint on loopback."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = Thread(target=collector.server.serve_forever)
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


@asynccontextmanager
async def worker(settings: StoreSettings, stage: str, endpoint: str) -> AsyncIterator[None]:
    options = ("--stages", stage)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    async with worker_process(settings, "tests.support:COUNTING", *options, **environment) as process:
        yield
        process.terminate()  # a clean exit sends the spans that are left
        with anyio.fail_after(30):
            assert await process.wait() == 0


async def test_a_job_is_one_trace_over_the_processes_that_worked_on_it(
    store: Store, store_settings: StoreSettings, collector: Collector
) -> None:
    provider = TracerProvider()
    with provider.get_tracer("an application").start_as_current_span("its own span") as own:
        job = await submit(Client(store), "counting")
    async with AsyncExitStack() as workers:
        for stage in ("read", "count"):
            await workers.enter_async_context(worker(store_settings, stage, collector.url))
        assert (await until(store, job.id)).state == "succeeded"
    expected = own.get_span_context().trace_id.to_bytes(16, "big")
    attempts = [span for span in collector.spans if span.name == telemetry.ATTEMPT]
    stages = {
        attribute.value.string_value
        for span in attempts
        for attribute in span.attributes
        if attribute.key == telemetry.STAGE
    }
    assert stages == {"read", "count"}
    workers_ = {a.value.string_value for s in attempts for a in s.attributes if a.key == telemetry.WORKER}
    assert len(workers_) == 2
    assert {span.trace_id for span in attempts} == {expected}
    assert any(span.name == telemetry.ADMIT and span.trace_id == expected for span in collector.spans)
