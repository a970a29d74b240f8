//! Generated requests: a few templates of each shape, whose ids are written anew for each request.
//!
//! *plain* is what a tracer of a service writes at least; *rich* follows the semantic conventions
//! of HTTP servers, with an event in each span and an exception in one of twenty; *logs* are
//! records of text with a few attributes. None of them holds personal data: what is measured is
//! the search, not the rewriting.

use std::fmt::Write as _;

use sidewake::event::otlp::wire::{push_bytes, push_fixed64, push_message, push_number};

use super::rng::Rng;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Plain,
    Rich,
    Log,
}

/// One request, without its ids.
pub(crate) struct Template {
    message: Vec<u8>,
    /// Where the items' trace ids stand; each span id follows behind two bytes more.
    ids: Vec<usize>,
}

/// A trace id that stands for one to come.
const MARK: [u8; 16] = *b"\xffTHE-TRACE-ID-\xff\xff";
const TIME: u64 = 1_795_464_000_000_000_000;

impl Template {
    /// A request of `n_items` items.
    pub(crate) fn new(shape: Shape, n_items: usize, rng: &mut Rng) -> Self {
        let mut message = Vec::new();
        push_message(&mut message, 1, |out| {
            push_message(out, 1, |out| {
                text(out, 1, "service.name", "checkout");
                text(out, 1, "service.version", "2.14.3");
                text(out, 1, "k8s.pod.name", "checkout-7c9d8f6b5d-x2x7p");
                text(out, 1, "telemetry.sdk.language", "python");
            });
            push_message(out, 2, |out| {
                push_message(out, 1, |out| push_bytes(out, 1, b"opentelemetry.instrumentation"));
                for _ in 0..n_items {
                    push_message(out, 2, |out| match shape {
                        Shape::Plain => plain(rng, out),
                        Shape::Rich => rich(rng, out),
                        Shape::Log => log(rng, out),
                    });
                }
            });
        });
        let ids: Vec<usize> = memchr::memmem::find_iter(&message, &MARK).collect();
        assert_eq!(ids.len(), n_items, "each item has its mark");
        Self { message, ids }
    }

    /// The request whose first item has the number `first`, with room for `head` bytes before it.
    pub(crate) fn fill(&self, first: u64, head: usize) -> Vec<u8> {
        let mut out = vec![0; head + self.message.len()];
        out[head..].copy_from_slice(&self.message);
        for (number, at) in (first..).zip(&self.ids) {
            let at = head + at;
            let trace = Rng::new(number / 5).next();
            out[at..at + 8].copy_from_slice(&trace.to_le_bytes());
            out[at + 8..at + 16].copy_from_slice(&trace.rotate_left(23).to_le_bytes());
            out[at + 18..at + 26].copy_from_slice(&(number + 1).to_be_bytes());
        }
        out
    }

    /// Bytes of an item, its share of the resource included.
    pub(crate) fn item_bytes(&self) -> usize {
        self.message.len() / self.ids.len()
    }
}

fn text(out: &mut Vec<u8>, number: u32, key: &str, value: &str) {
    push_message(out, number, |out| {
        push_bytes(out, 1, key.as_bytes());
        push_message(out, 2, |out| push_bytes(out, 1, value.as_bytes()));
    });
}

fn int(out: &mut Vec<u8>, number: u32, key: &str, value: u64) {
    push_message(out, number, |out| {
        push_bytes(out, 1, key.as_bytes());
        push_message(out, 2, |out| push_number(out, 3, value));
    });
}

fn ids(out: &mut Vec<u8>, first: u32) {
    push_bytes(out, first, &MARK);
    push_bytes(out, first + 1, &[0; 8]);
}

fn span(rng: &mut Rng, name: &str, out: &mut Vec<u8>) {
    ids(out, 1);
    push_bytes(out, 4, &(rng.next() | 1).to_le_bytes());
    push_bytes(out, 5, name.as_bytes());
    push_number(out, 6, 2);
    let start = TIME + rng.below(1 << 40);
    push_fixed64(out, 7, start);
    push_fixed64(out, 8, start + rng.below(1 << 28));
}

fn plain(rng: &mut Rng, out: &mut Vec<u8>) {
    let name = rng.pick(&["POST /v1/predict", "GET /v1/models", "feature_lookup", "model.forward"]);
    span(rng, name, out);
    text(out, 9, "http.method", rng.pick(&["POST", "GET"]));
    text(out, 9, "http.route", rng.pick(&["/v1/predict", "/v1/models", "/v1/embed"]));
    text(out, 9, "model.name", rng.pick(&["fraud_detector", "ranker", "embedder_v2"]));
    text(out, 9, "request_id", &format!("{:016x}", rng.next()));
    int(out, 9, "http.status_code", *pick(rng, &[200, 200, 404, 503]));
    text(out, 9, "tenant", &format!("t-{}", rng.below(5000)));
}

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "python-requests/2.32.3",
    "okhttp/4.12.0",
];

fn rich(rng: &mut Rng, out: &mut Vec<u8>) {
    let route = rng.pick(&["/api/v1/orders/{id}", "/api/v1/users/{id}/cart", "/api/v1/search"]);
    span(rng, &format!("GET {route}"), out);
    text(out, 9, "http.request.method", rng.pick(&["GET", "POST", "PUT"]));
    text(out, 9, "http.route", route);
    text(out, 9, "url.scheme", "https");
    text(out, 9, "url.path", &format!("/api/v1/orders/{:012x}", rng.next() >> 16));
    let (page, sort) = (rng.below(40), rng.pick(&["created", "price", "name"]));
    text(out, 9, "url.query", &format!("page={page}&limit=50&sort={sort}"));
    int(out, 9, "http.response.status_code", *pick(rng, &[200, 200, 201, 404]));
    text(out, 9, "server.address", "orders.checkout.svc.cluster.local");
    int(out, 9, "server.port", 8443);
    text(out, 9, "network.protocol.version", "1.1");
    text(out, 9, "user_agent.original", rng.pick(&AGENTS));
    text(out, 9, "correlation.id", &rng.uuid());
    int(out, 9, "http.response.body.size", rng.below(100_000));
    text(out, 9, "thread.name", &format!("worker-{}", rng.below(16)));
    let time = TIME + rng.below(1 << 40);
    push_message(out, 11, |out| {
        push_fixed64(out, 1, time);
        push_bytes(out, 2, b"cache.lookup");
        text(out, 3, "cache.key", &format!("orders:{:08x}", rng.next() >> 32));
        text(out, 3, "cache.result", rng.pick(&["hit", "miss"]));
    });
    if rng.unit() < 0.05 {
        exception(rng, time, out);
    }
}

fn exception(rng: &mut Rng, time: u64, out: &mut Vec<u8>) {
    let mut trace = String::from("Traceback (most recent call last):\n");
    for name in ["handle", "fetch_order", "query"] {
        let line = rng.below(900);
        let _ = write!(trace, "  File \"/app/orders/{name}.py\", line {line}, in {name}\n    ");
        let _ = writeln!(trace, "return await self.{name}_inner(order, retries)");
    }
    trace.push_str("TimeoutError: the store did not answer in time");
    push_message(out, 11, |out| {
        push_fixed64(out, 1, time);
        push_bytes(out, 2, b"exception");
        text(out, 3, "exception.type", "TimeoutError");
        text(out, 3, "exception.message", "the store did not answer in time");
        text(out, 3, "exception.stacktrace", &trace);
    });
    push_message(out, 15, |out| push_number(out, 3, 2));
}

fn log(rng: &mut Rng, out: &mut Vec<u8>) {
    let time = TIME + rng.below(1 << 40);
    push_fixed64(out, 1, time);
    push_number(out, 2, 9);
    push_bytes(out, 3, b"INFO");
    push_message(out, 5, |out| {
        let (ms, n) = (rng.below(300), rng.below(64));
        let what = rng.pick(&["batch", "warmup", "checkpoint"]);
        let body = format!("handled {what} in {ms} ms, {n} features came from the cache");
        push_bytes(out, 1, body.as_bytes());
    });
    text(out, 6, "code.function", rng.pick(&["predict", "load_features", "score"]));
    text(out, 6, "model.name", rng.pick(&["fraud_detector", "ranker", "embedder_v2"]));
    text(out, 6, "request_id", &rng.uuid());
    ids(out, 9);
    push_fixed64(out, 11, time + 1000);
}

fn pick<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.below(all.len() as u64) as usize]
}
