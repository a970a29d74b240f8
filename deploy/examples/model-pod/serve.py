"""A real model behind HTTP, whose stdout is what Sidewake reads.

Owns: the endpoint, the lines it logs (structlog, JSON, one line a write) and its spans.
Does not: know Sidewake. It would log the very same lines without it, and that is the point.

    python3 serve.py                 serves on 127.0.0.1:8000 until SIGTERM
    python3 serve.py --demo 50       serves, sends itself 50 requests over loopback, exits with 0

Lines on stdout: `model_loaded`, `request_received`, `prediction_completed`, `prediction_failed`,
now and then `data_validation`, and uvicorn's own text. A bad request leaves a traceback on stderr.
"""

import argparse
import collections
import contextlib
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator

import structlog
import uvicorn
from fastapi import FastAPI, Request
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import load
import tumor_model
from patients import MALIGNANT_RATE, NUMERIC

VALIDATE_EVERY = 20  # requests between two `data_validation` lines

log = structlog.get_logger()
tracer = trace.get_tracer("tumor_model")


# --- Logs and traces -----------------------------------------------------------------------------

def with_trace(_logger, _method, event: dict) -> dict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def event_first(_logger, _method, event: dict) -> dict:
    return {"event": event.pop("event"), **event}


def set_up_logs() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            with_trace,
            event_first,
            structlog.processors.JSONRenderer(),
        ],
        # PrintLogger writes the text and its newline apart when Python is unbuffered, and lines of
        # two threads could meet between them; WriteLogger writes a line at once.
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )


def set_up_traces() -> TracerProvider:
    """Spans always exist, so the lines always have ids; they leave only when told where to."""
    resource = Resource.create({"service.name": "tumor-classifier", "service.version": tumor_model.VERSION})
    provider = TracerProvider(resource=resource)
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


# --- The data's own quality ----------------------------------------------------------------------

class Validation:
    """Null rates and ranges of the last requests, logged once every `VALIDATE_EVERY`."""

    def __init__(self) -> None:
        self.rows: collections.deque[dict] = collections.deque(maxlen=VALIDATE_EVERY)
        self.seen = 0

    def observe(self, features: dict) -> None:
        self.rows.append(features)
        self.seen += 1
        if self.seen % VALIDATE_EVERY == 0:
            self.report()

    def report(self) -> None:
        missing = {name: sum(row.get(name) is None for row in self.rows) / len(self.rows) for name in NUMERIC}
        radii = [row["mean_radius"] for row in self.rows if isinstance(row.get("mean_radius"), (int, float))]
        log.info(
            "data_validation", dataset="live_biopsies", n_rows=len(self.rows), columns=len(NUMERIC),
            null_rates={name: rate for name, rate in missing.items() if rate},
            min={"mean_radius": min(radii, default=None)}, max={"mean_radius": max(radii, default=None)},
            out_of_range=sum(radius > 28.11 for radius in radii),  # the largest in the training data
        )


# --- The endpoint --------------------------------------------------------------------------------

def make_app(model: tumor_model.TumorModel, provider: TracerProvider) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # The last spans leave here: after it uvicorn raises the signal that stopped it once more.
        yield
        provider.shutdown()

    app = FastAPI(title="tumor classifier", lifespan=lifespan)
    validation = Validation()

    @app.get("/healthz")
    async def healthz() -> dict:
        return {"status": "ok"}

    @app.post("/predict")
    async def predict(request: Request) -> dict:
        identity = request.headers.get("x-request-id") or str(uuid.uuid4())
        with structlog.contextvars.bound_contextvars(request_id=identity):
            # FastAPI's own span, in the caller's trace when the request named one.
            trace.get_current_span().set_attribute("request_id", identity)
            payload = await request.json()
            log.info("request_received", method="POST", path="/predict", payload=payload)
            try:
                return answer(model, validation, identity, payload)
            except Exception:
                log.exception("prediction_failed", model_name=tumor_model.NAME, model_version=tumor_model.VERSION)
                raise

    return app


def answer(model: tumor_model.TumorModel, validation: Validation, identity: str, payload: dict) -> dict:
    started = time.perf_counter()
    with tracer.start_as_current_span("fetch_features"):
        features = fetch_features(payload)
        validation.observe(payload)
    with tracer.start_as_current_span("preprocess"):
        row = model.preprocess(features)
    with tracer.start_as_current_span("model_inference") as span:
        score = model.score(row)
        span.set_attribute("model.version", tumor_model.VERSION)
    label = tumor_model.LABELS[score >= 0.5]
    log.info(
        "prediction_completed", model_name=tumor_model.NAME, model_version=tumor_model.VERSION,
        features=features, prediction={"label": label, "score": round(score, 6)},
        confidence=round(max(score, 1 - score), 6),
        latency_ms=round((time.perf_counter() - started) * 1000, 3),
    )
    return {"request_id": identity, "label": label, "score": score}


def fetch_features(payload: dict) -> dict:
    """Fills what the caller left out with the training mean, and says so."""
    missing = [name for name in NUMERIC if payload.get(name) is None]
    if missing:
        log.warning("features_missing", missing=missing)
    return payload | {name: typical(name) for name in missing}


def typical(name: str) -> float:
    """The mean of all biopsies."""
    benign, _, malignant, _, _ = NUMERIC[name]
    return benign + MALIGNANT_RATE * (malignant - benign)


# --- Serving -------------------------------------------------------------------------------------

def run_demo(server: uvicorn.Server, url: str, requests: int, outcome: dict) -> None:
    """Sends the requests, says which one to look up, and lets the server go, whatever happened."""
    try:
        answers = load.send(url, requests)
        served = next((identity for identity, status in answers if status == 200), None)
        log.info("demo_completed", requests=len(answers), look_up=served)
        outcome["code"] = 0 if served else 1
    finally:
        server.should_exit = True


def main() -> int:
    parser = argparse.ArgumentParser(description="Serve a tumour model that logs its predictions.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 in a pod, where probes come from outside")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--demo", type=int, metavar="N", help="send N requests to itself, then exit")
    options = parser.parse_args()
    set_up_logs()
    provider = set_up_traces()
    model = tumor_model.TumorModel()
    log.info(
        "model_loaded", model_name=tumor_model.NAME, model_version=tumor_model.VERSION,
        load_time_ms=round(model.load_time_ms, 1), n_features=len(NUMERIC), auc=round(model.auc, 4),
    )
    server = uvicorn.Server(uvicorn.Config(make_app(model, provider), use_colors=False))
    address = ("127.0.0.1", 0) if options.demo else (options.host, options.port)
    with socket.create_server(address) as listener:
        outcome = {"code": 1 if options.demo else 0}
        if options.demo:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            threading.Thread(target=run_demo, args=(server, url, options.demo, outcome), daemon=True).start()
        server.run(sockets=[listener])
    return outcome["code"]


if __name__ == "__main__":
    sys.exit(main())
