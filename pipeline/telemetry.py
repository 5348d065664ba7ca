"""Traces and metrics: every span, metric and attribute name, in one table.

One trace per job: the submitter's span starts it, its `traceparent` (W3C Trace Context) travels in the
job and its tasks, and every attempt, in whatever process, is a span below it. Without an SDK set up by
the application, or by `configure` in Millrace's own processes, all of this costs next to nothing.
No document text is ever put into a span.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

SUBMIT = "millrace.submit"
ADMIT = "millrace.admit"
ATTEMPT = "millrace.attempt"

JOB = "millrace.job"
STAGE = "millrace.stage"
PIPELINE = "millrace.pipeline"
WORKER = "millrace.worker"
ATTEMPT_NUMBER = "millrace.attempt.number"
OUTCOME = "millrace.outcome"

_tracer = trace.get_tracer("millrace")
_meter = metrics.get_meter("millrace")
_propagator = TraceContextTextMapPropagator()

attempts = _meter.create_counter("millrace.attempts", unit="{attempt}", description="Attempts, by outcome")
duration = _meter.create_histogram("millrace.attempt.duration", unit="s", description="Time in stage code")
batch = _meter.create_histogram("millrace.commit.batch", unit="{change}", description="Changes in a commit")


def traced() -> bool:
    """Tell whether anybody collects spans."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@contextmanager
def span(name: str, attributes: Mapping[str, str | int], traceparent: str | None = None) -> Iterator[Span]:
    """Open a span below `traceparent`, or below the current one."""
    if not traced():
        yield trace.INVALID_SPAN
        return
    context: Context | None = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    kind = SpanKind.PRODUCER if name == SUBMIT else SpanKind.CONSUMER
    with _tracer.start_as_current_span(name, context, kind=kind, attributes=dict(attributes)) as current:
        yield current


def current_traceparent() -> str | None:
    """Return the current span as a `traceparent` header, None when nothing is traced."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def mark_failed(current: Span, reason: str) -> None:
    """Mark a span as failed; `reason` is an error's type, never its text."""
    current.set_status(Status(StatusCode.ERROR, reason))


def flush() -> None:
    """Send the spans that still wait, before a process ends without its usual way out."""
    if not traced():
        return
    from opentelemetry.sdk.trace import TracerProvider  # only what traces needs the SDK

    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.force_flush()


def configure(service: str) -> None:
    """Send spans over OTLP/HTTP when the standard OTEL_EXPORTER_OTLP_… variables say where to.

    Raises:
        ImportError: they do, but `millrace[otlp]` is not installed.
    """
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    )
    if not endpoint:
        return
    if find_spec("opentelemetry.exporter") is None or find_spec("opentelemetry.exporter.otlp") is None:
        raise ImportError("OTEL_EXPORTER_OTLP_ENDPOINT is set: install `millrace[otlp]`, or unset it")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
