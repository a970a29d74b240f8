"""Exposes metrics of every type with Prometheus' own client library, and says what it holds.

Owns what is in them, and two lines on standard output: the port that it serves on loopback, and one
line of JSON with every sample as the library knows it. `/metrics?format=text` and
`?format=openmetrics` choose the format; without either, the library does by what is accepted.

Ends when its standard input does. Needs the environment `prometheus`.
"""

import http.server
import json
import sys
import threading
import urllib.parse

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    exposition,
)
from prometheus_client.core import GaugeHistogramMetricFamily, SummaryMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics

TRACE = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}
HARD = 'back\\slash "quotes"\nnew line, {braces} é 漢'


class Odd:
    """What the library has no class for."""

    def collect(self):
        buckets = [("1.0", 2), ("+Inf", 5)]
        yield GaugeHistogramMetricFamily("queue_age", "Ages.", buckets=buckets, gsum_value=7.5)
        summary = SummaryMetricFamily("tokens", "Tokens.", labels=["model"])
        summary.add_metric(["small"], count_value=3, sum_value=300)
        yield summary


def fill(registry):
    predictions = Counter("predictions", "Predictions, by label.", ["label"], registry=registry)
    predictions.labels("fraud").inc(3, exemplar=TRACE)
    predictions.labels(HARD).inc(0.5)
    Counter("untouched", "Nothing yet.", registry=registry)
    gauge = Gauge("temperature_celsius", "A line\\n of \\ help\nand another.", ["zone"], registry=registry)
    for zone, value in [("a", -1.5), ("b", float("inf")), ("c", float("nan")), ("d", 1e-300)]:
        gauge.labels(zone).set(value)
    latency = Histogram(
        "latency_seconds", "Latency.", ["model"], buckets=[0.005, 0.25, 1, 10], registry=registry
    )
    for value in [0.001, 0.2, 0.2, 3, 99]:
        latency.labels("small").observe(value, exemplar={"request_id": f"r-{value}"})
    latency.labels("large")
    summary = Summary("batch_rows", "Rows.", unit="rows", registry=registry)
    summary.observe(10)
    summary.observe(32.5)
    Info("model_build", "What runs.", registry=registry).info({"version": "v2", "commit": "abc"})
    Enum("model_state", "Its state.", states=["loading", "ready"], registry=registry).state("ready")
    registry.register(Odd())


def held(registry):
    samples = []
    for family in registry.collect():
        for sample in family.samples:
            exemplar = sample.exemplar and [sample.exemplar.labels, sample.exemplar.value]
            samples.append(
                {
                    "family": family.name,
                    "type": family.type,
                    "help": family.documentation,
                    "unit": family.unit,
                    "name": sample.name,
                    "labels": sample.labels,
                    "value": repr(float(sample.value)),
                    "exemplar": exemplar,
                }
            )
    return samples


def serve(registry):
    class Exposer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
            accept = self.headers.get("accept")
            encode, content_type = {
                "text": (exposition.generate_latest, exposition.CONTENT_TYPE_LATEST),
                "openmetrics": (openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST),
            }.get(query.get("format", [""])[0]) or exposition.choose_encoder(accept)
            body = encode(registry)
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exposer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def main():
    registry = CollectorRegistry()
    fill(registry)
    print(serve(registry), flush=True)
    print(json.dumps(held(registry)), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
