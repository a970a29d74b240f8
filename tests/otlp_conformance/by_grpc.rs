//! OTLP/gRPC: each demand on calls and their trailers.

use prost::Message as _;

use super::otlp_client::{GrpcAnswer, SERVICES};
use super::otlp_proto::trace_service::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use super::rig::until;
use super::served::{MAX_REQUEST, RetryInfo, Served, Status, packed, spans};

const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

fn frame(message: &[u8], is_packed: bool) -> Vec<u8> {
    let head = [&[u8::from(is_packed)][..], &(message.len() as u32).to_be_bytes()].concat();
    [&head[..], message].concat()
}

#[track_caller]
fn call(served: &Served, path: &str, body: Vec<u8>, encoding: Option<&str>) -> GrpcAnswer {
    let client = served.grpc();
    served.runtime.block_on(client.call(path, body, encoding)).expect("an answer")
}

#[track_caller]
fn status_of(answer: &GrpcAnswer) -> Status {
    let details = answer.trailers.get("grpc-status-details-bin").expect("details");
    let bytes = data_encoding::BASE64_NOPAD.decode(details.as_bytes()).expect("base64");
    let status = Status::decode(&*bytes).expect("a Status");
    assert_eq!(status.code as u32, answer.code);
    status
}

/// One `RetryInfo`, with a delay.
#[track_caller]
pub(crate) fn check_retry_info(status: &Status) {
    assert_eq!(status.details.len(), 1, "{status:?}");
    assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    let info = RetryInfo::decode(&*status.details[0].value).expect("a RetryInfo");
    assert!(info.retry_delay.is_some_and(|delay| delay.seconds > 0 || delay.nanos > 0));
}

/// A request of one span, with `more` at the end of the span.
pub(crate) fn nested(request: &mut Vec<u8>, more: &[u8]) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(&**request).expect("a request");
    let mut out = request.resource_spans[0].scope_spans[0].spans[0].encode_to_vec();
    out.extend_from_slice(more);
    for number in [2, 2, 1u8] {
        let mut outer = vec![number << 3 | 2];
        prost::encoding::encode_varint(out.len() as u64, &mut outer);
        outer.extend_from_slice(&out);
        out = outer;
    }
    out
}

/// Each fails with its code, says why, and cannot be sent again.
#[test]
fn refusals() {
    let served = Served::start();
    let traces = SERVICES[0];
    let sound = spans(&["a"]);
    let large = vec![0; MAX_REQUEST + 1];
    let bomb = packed(&vec![0; 64 * MAX_REQUEST], "gzip");
    let unknown = "/opentelemetry.proto.collector.trace.v1.TraceService/Import";
    let [plain, two] = [frame(&sound, false), frame(&sound, false).repeat(2)];
    for (name, path, body, encoding, code) in [
        ("undecodable is INVALID_ARGUMENT", traces, frame(b"\xff\xff", false), None, 3),
        ("so are metrics", METRICS, frame(b"\x0a\x05", false), None, 3),
        ("and logs", SERVICES[1], frame(b"\x0a\x05", false), None, 3),
        ("broken gzip", traces, frame(&sound, true), Some("gzip"), 3),
        ("a cut frame", traces, plain[..plain.len() - 1].to_vec(), None, 3),
        ("no frame", traces, Vec::new(), None, 3),
        ("two messages in one call", traces, two, None, 3),
        ("a frame with another flag", traces, [&[9][..], &plain[1..]].concat(), None, 3),
        ("too large is RESOURCE_EXHAUSTED", traces, frame(&large, false), None, 8),
        ("too large unpacked", traces, frame(&bomb, true), Some("gzip"), 8),
        ("another packing is UNIMPLEMENTED", traces, frame(&sound, true), Some("br"), 12),
        ("another method is UNIMPLEMENTED", unknown, plain.clone(), None, 12),
        ("another service, too", "/x.Y/Z", plain.clone(), None, 12),
        ("packed without a packing is INTERNAL", traces, frame(&sound, true), None, 13),
        ("nor with identity", traces, frame(&sound, true), Some("identity"), 13),
    ] {
        let answer = call(&served, path, body, encoding);
        assert_eq!(answer.code, code, "{name}: {}", answer.words);
        assert!(!answer.words.is_empty() && answer.message.is_empty(), "{name}");
        let status = status_of(&answer);
        assert!(status.details.is_empty(), "{name}: no RetryInfo");
        assert!(!answer.trailers.contains_key("google.rpc.retryinfo-bin"), "{name}");
        if code == 12 {
            assert!(answer.trailers.contains_key("grpc-accept-encoding"), "{name}");
        }
    }
    assert_eq!(call(&served, traces, frame(&sound, false), None).code, 0);
}

/// All signals, empty and not, in each packing; a message may also come unpacked.
#[test]
fn successes() {
    let served = Served::start();
    for path in [SERVICES[0], SERVICES[1], METRICS] {
        for message in [&b""[..], b"\x0a\x00"] {
            let answer = call(&served, path, frame(message, false), None);
            assert_eq!((answer.code, &answer.message[..]), (0, &b""[..]), "{path}");
        }
    }
    let sound = spans(&["a"]);
    for packing in ["identity", "gzip", "deflate", "zstd"] {
        let is_packed = packing != "identity";
        let body = frame(&packed(&sound, packing), is_packed);
        assert_eq!(call(&served, SERVICES[0], body, Some(packing)).code, 0, "{packing}");
        let unpacked = frame(&sound, false);
        assert_eq!(call(&served, SERVICES[0], unpacked, Some(packing)).code, 0, "{packing}");
    }
    until("all of them", || served.fake.spans().len() == 8);
}

#[test]
fn partial_success() {
    let served = Served::start();
    let message = spans(&["a", "invalid", "invalid", "b"]);
    let answer = call(&served, SERVICES[0], frame(&message, false), None);
    assert_eq!(answer.code, 0);
    let response = ExportTraceServiceResponse::decode(&*answer.message).expect("a response");
    let partial = response.partial_success.expect("set");
    assert_eq!(partial.rejected_spans, 2);
    assert!(!partial.error_message.is_empty());
    until("the sound ones", || served.fake.spans().len() == 2);
}

/// UNAVAILABLE comes with RetryInfo in both trailers: where the specification says, and where the
/// Python exporter looks.
#[test]
fn later_is_said_with_a_time() {
    let served = Served::with("", "memory: { limit: 16MiB }\n");
    let (_held, n_held) = super::hostile::held_memory(&served);
    assert!(n_held > 0);
    let answer =
        call(&served, SERVICES[0], frame(&spans(&["a".repeat(100_000).as_str()]), false), None);
    assert_eq!(answer.code, 14, "{}", answer.words);
    check_retry_info(&status_of(&answer));
    let alone = answer.trailers.get("google.rpc.retryinfo-bin").expect("Python's");
    let bytes = data_encoding::BASE64_NOPAD.decode(alone.as_bytes()).expect("base64");
    assert!(RetryInfo::decode(&*bytes).expect("a RetryInfo").retry_delay.is_some());
}

/// A hundred calls on one connection, all at once.
#[test]
fn calls_at_once() {
    let served = Served::start();
    let client = served.grpc();
    let calls = (0..100).map(|_| client.call(SERVICES[0], frame(&spans(&["a"]), false), None));
    let answers = served.runtime.block_on(async {
        let tasks: Vec<_> = calls.map(Box::pin).collect();
        let mut codes = Vec::new();
        let mut joined = tokio_stream::iter(tasks);
        while let Some(task) = tokio_stream::StreamExt::next(&mut joined).await {
            codes.push(task.await.map(|answer| answer.code));
        }
        codes
    });
    assert_eq!(answers, vec![Some(0); 100]);
    until("all of them", || served.fake.spans().len() == 100);
}
