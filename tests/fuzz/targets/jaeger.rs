//! Jaeger's Thrift, which anybody may send to a UDP port.

use prost::Message as _;
use sidewake::sources::jaeger::{GROWTH_MAX, Protocol, spans};

#[path = "../../otlp_proto/messages.rs"]
mod otlp_proto;

use otlp_proto::trace_service::ExportTraceServiceRequest;

pub(crate) fn compact(bytes: &[u8]) {
    check(bytes, Protocol::Compact);
}

pub(crate) fn binary(bytes: &[u8]) {
    check(bytes, Protocol::Binary);
}

pub(crate) fn bare(bytes: &[u8]) {
    check(bytes, Protocol::Bare);
}

/// What is taken for a batch becomes a request that every receiver can take: it decodes, holds the
/// spans that are said to be in it, and each has its ids. It is no longer than it may be.
fn check(bytes: &[u8], protocol: Protocol) {
    let Ok(converted) = spans(bytes, protocol) else { return };
    assert!(converted.request.len() <= bytes.len() * GROWTH_MAX);
    let request = ExportTraceServiceRequest::decode(&*converted.request).expect("it is sound");
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let mut n_spans = 0;
    for span in scopes.flat_map(|scope| &scope.spans) {
        n_spans += 1;
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(span.trace_id.iter().any(|byte| *byte != 0), "a trace id of zeros");
        assert!(span.span_id.iter().any(|byte| *byte != 0), "a span id of zeros");
    }
    assert_eq!(n_spans, converted.n_spans);
    // What is behind the batch does not matter.
    let longer = [bytes, b"\x0c\0\x01"].concat();
    assert_eq!(spans(&longer, protocol), Ok(converted));
}
