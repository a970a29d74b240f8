"""Sends spans and logs with OpenTelemetry's own SDK, and says what it sent.

Owns what is in them, and the one line of JSON for each on standard output: what a test compares
with what arrived. Does not retry by itself, nor wait for more than the SDK does.

    --protocol grpc | http/protobuf | http/json     with the environment `otlp`
    --protocol jaeger-compact | jaeger-http         with the environment `jaeger`; spans only

Exit code: 0 when the SDK reports success for everything, 1 when it does not, 64 for wrong usage.
Over UDP it always does.
"""

import argparse
import json
import logging
import sys
import time
import warnings

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SPANS_OF_A_TRACE = 5


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def arguments():
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(description=__doc__, formatter_class=raw)
    protocols = ["grpc", "http/protobuf", "http/json", "jaeger-compact", "jaeger-http"]
    parser.add_argument("--protocol", choices=protocols, required=True)
    parser.add_argument(
        "--endpoint",
        required=True,
        help="http://HOST:PORT for OTLP, HOST:PORT for jaeger-compact, a whole URL for jaeger-http",
    )
    parser.add_argument("--spans", type=int, default=0, metavar="N")
    parser.add_argument("--logs", type=int, default=0, metavar="N")
    parser.add_argument("--batch", type=int, default=512, metavar="N", help="at most so many a request")
    parser.add_argument("--service", default="fraud-detector")
    parser.add_argument("--attribute", action="append", default=[], metavar="KEY=TEXT", help="on each")
    parser.add_argument("--header", action="append", default=[], metavar="KEY=TEXT", help="OTLP only")
    parser.add_argument("--gzip", action="store_true", help="OTLP only")
    parser.add_argument("--timeout", type=float, default=10, metavar="SECONDS")
    options = parser.parse_args()
    if options.logs and options.protocol.startswith("jaeger"):
        parser.error(f"{options.protocol} has no logs")
    options.attribute = dict(pair.split("=", 1) for pair in options.attribute)
    options.header = dict(pair.split("=", 1) for pair in options.header)
    return options


# --- What is sent ---------------------------------------------------------------------------------


def make_spans(options):
    """Traces of five spans: a server's, its children of each other kind. Of two scopes, in turns."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=resource(options), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    scopes = [provider.get_tracer("model.server", "2.3.1"), provider.get_tracer("features", "1.0.0")]
    kinds = [trace.SpanKind.SERVER, trace.SpanKind.CLIENT, trace.SpanKind.INTERNAL]
    kinds += [trace.SpanKind.PRODUCER, trace.SpanKind.CONSUMER]
    now = time.time_ns() // 1000 * 1000     # whole microseconds, as Jaeger has no less
    root = None
    for n in range(options.spans):
        place = n % SPANS_OF_A_TRACE
        if place == 0:
            root = None
        span = scopes[n % 2].start_span(
            f"predict {n}",
            context=trace.set_span_in_context(root) if root else None,
            kind=kinds[place],
            links=[trace.Link(trace.SpanContext(0x1234, 0x5678, is_remote=True))] if place == 1 else [],
            start_time=now + n * 1000,
            attributes={
                "request_id": f"r-{n // SPANS_OF_A_TRACE}",
                "confidence": n % 100 / 100,
                "cached": n % 2 == 0,
                "n_features": n,
                **options.attribute,
            },
        )
        if place == 2:
            span.add_event("cache miss", {"key": f"k-{n}"}, timestamp=now + n * 1000 + 1000)
            span.set_status(trace.StatusCode.ERROR, "no such model")
        if place == 3:
            span.set_status(trace.StatusCode.OK)
        root = root or span
        span.end(now + n * 1000 + 250_000)
    return list(kept.get_finished_spans())


def make_logs(options):
    """Every other one within a span, in all severities."""
    from opentelemetry._logs import SeverityNumber
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=resource(options), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    logger = provider.get_logger("model.server", "2.3.1")
    severities = [number for number in SeverityNumber if number.value]
    now = time.time_ns()
    for n in range(options.logs):
        context = None
        if n % 2 == 0:
            ids = trace.SpanContext((n + 1) << 64 | now, n + 1, False, trace.TraceFlags(1))
            context = trace.set_span_in_context(trace.NonRecordingSpan(ids))
        severity = severities[n % len(severities)]
        logger.emit(
            timestamp=now + n,
            observed_timestamp=now + n + 1,
            context=context,
            severity_number=severity,
            severity_text=severity.name,
            body=f"scored request r-{n}",
            attributes={"request_id": f"r-{n}", "confidence": n % 100 / 100, **options.attribute},
        )
    return list(kept.get_finished_logs())


def resource(options):
    return Resource({"service.name": options.service, "service.version": "v2.3.1"})


# --- What is said of it ---------------------------------------------------------------------------


def told_span(span):
    context = span.get_span_context()
    scope = span.instrumentation_scope
    return {
        "signal": "span",
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "name": span.name,
        "kind": span.kind.name,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "status": {"code": span.status.status_code.name, "message": span.status.description},
        "attributes": dict(span.attributes),
        "events": [
            {"name": event.name, "time_ns": event.timestamp, "attributes": dict(event.attributes)}
            for event in span.events
        ],
        "links": [
            {"trace_id": f"{link.context.trace_id:032x}", "span_id": f"{link.context.span_id:016x}"}
            for link in span.links
        ],
        "scope": {"name": scope.name, "version": scope.version},
        "resource": dict(span.resource.attributes),
    }


def told_log(log):
    record, scope = log.log_record, log.instrumentation_scope
    return {
        "signal": "log",
        "trace_id": f"{record.trace_id:032x}" if record.trace_id else None,
        "span_id": f"{record.span_id:016x}" if record.span_id else None,
        "time_ns": record.timestamp,
        "observed_ns": record.observed_timestamp,
        "severity_number": record.severity_number.value,
        "severity_text": record.severity_text,
        "body": record.body,
        "attributes": dict(record.attributes),
        "scope": {"name": scope.name, "version": scope.version},
        "resource": dict(log.resource.attributes),
    }


# --- Who sends ------------------------------------------------------------------------------------


def exporters(options):
    """An exporter for spans, and one for logs or None."""
    common = {"headers": options.header, "timeout": options.timeout}
    traces, logs = f"{options.endpoint}/v1/traces", f"{options.endpoint}/v1/logs"
    if options.protocol == "grpc":
        from grpc import Compression
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        traces = logs = options.endpoint
        common["insecure"] = options.endpoint.startswith("http://")
        compression = Compression.Gzip, Compression.NoCompression
    elif options.protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        compression = Compression.Gzip, Compression.NoCompression
    elif options.protocol == "http/json":
        from opentelemetry.exporter.otlp.common.http import Compression
        from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter

        compression = Compression.GZIP, Compression.NONE
    else:
        return jaeger_exporter(options), None
    common["compression"] = compression[0 if options.gzip else 1]
    return OTLPSpanExporter(endpoint=traces, **common), OTLPLogExporter(endpoint=logs, **common)


def jaeger_exporter(options):
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter

    if options.protocol == "jaeger-http":
        return JaegerExporter(collector_endpoint=options.endpoint, timeout=int(options.timeout))
    host, port = options.endpoint.rsplit(":", 1)
    return JaegerExporter(host, int(port), udp_split_oversized_batches=True)


class Complaints(logging.Handler):
    """What an exporter only logs: the one of Jaeger reports success whatever the answer was."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.n = 0

    def emit(self, record):
        self.n += 1
        print(f"{record.name}: {record.getMessage()}", file=sys.stderr)


def send(exporter, items, options):
    """Whether the SDK reports success for all of them."""
    is_well = True
    for start in range(0, len(items), options.batch):
        result = exporter.export(items[start : start + options.batch])
        is_well &= result.name == SpanExportResult.SUCCESS.name
    exporter.shutdown()
    return is_well


def main():
    options = arguments()
    warnings.simplefilter("ignore", DeprecationWarning)     # the classic exporter is one
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    span_exporter, log_exporter = exporters(options)
    spans = make_spans(options)
    logs = make_logs(options) if options.logs else []
    is_well = send(span_exporter, spans, options)
    if log_exporter:
        is_well &= send(log_exporter, logs, options)
    for told in [*map(told_span, spans), *map(told_log, logs)]:
        print(json.dumps(told))
    return 0 if is_well and not complaints.n else 1


if __name__ == "__main__":
    sys.exit(main())
