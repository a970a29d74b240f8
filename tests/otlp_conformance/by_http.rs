//! OTLP/HTTP: each demand on requests and answers.

use prost::Message as _;

use super::otlp_proto::trace_service::ExportTraceServiceResponse;
use super::rig::until;
use super::served::{
    Answer, JSON, MAX_REQUEST, PROTOBUF, Served, Status, exchange, packed, request, spans,
};

/// What an answer with an error says, in the form of its request.
#[track_caller]
fn status_of(answer: &Answer) -> Status {
    match answer.header("content-type") {
        Some("application/x-protobuf") => Status::decode(&*answer.body).expect("a Status"),
        Some("application/json") => {
            let said: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            let code = said["code"].as_i64().expect("a code") as i32;
            let message = said["message"].as_str().expect("a message").to_owned();
            Status { code, message, details: Vec::new() }
        }
        other => panic!("{other:?}"),
    }
}

/// Each is refused with its status, and with a `Status` that has words, in the request's form.
#[test]
fn refusals() {
    let served = Served::start();
    let traces = "/v1/traces";
    let large = vec![0; MAX_REQUEST + 1];
    let bomb = packed(&vec![0; 64 * MAX_REQUEST], "gzip");
    let zstd_bomb = packed(&vec![0; 64 * MAX_REQUEST], "zstd");
    let sound = spans(&["a"]);
    let with = |encoding| [PROTOBUF, ("content-encoding", encoding)];
    let json_with = |encoding| [JSON, ("content-encoding", encoding)];
    let text: &[(&str, &str)] = &[("content-type", "text/plain")];
    for (name, method, path, headers, body, code) in [
        ("another path is 404", "POST", "/", &[PROTOBUF][..], &sound[..], 404),
        ("a path below is 404", "POST", "/v1/traces/x", &[PROTOBUF], &sound, 404),
        ("GET is 405", "GET", traces, &[PROTOBUF], b"", 405),
        ("PUT is 405", "PUT", "/v1/logs", &[JSON], b"{}", 405),
        ("OPTIONS is 405", "OPTIONS", "/v1/metrics", &[], b"", 405),
        ("another Content-Type is 415", "POST", traces, text, &sound, 415),
        ("no Content-Type is 415", "POST", traces, &[], &sound, 415),
        ("another Content-Encoding is 415", "POST", traces, &with("br"), &sound, 415),
        ("the same for JSON", "POST", traces, &json_with("snappy"), b"{}", 415),
        ("what is no protobuf is 400", "POST", traces, &[PROTOBUF], b"\xff\xff", 400),
        ("a cut request is 400", "POST", traces, &[PROTOBUF], &sound[..sound.len() - 1], 400),
        ("the same of metrics", "POST", "/v1/metrics", &[PROTOBUF], b"\x0a\x05", 400),
        ("the same of logs", "POST", "/v1/logs", &[PROTOBUF], b"\x0a\x05", 400),
        ("what is no JSON is 400", "POST", traces, &[JSON], b"{", 400),
        ("JSON of another shape is 400", "POST", "/v1/logs", &[JSON], b"[]", 400),
        ("an empty body is no JSON", "POST", traces, &[JSON], b"", 400),
        ("what is not packed so is 400", "POST", traces, &with("gzip"), &sound, 400),
        ("nor by zstd", "POST", traces, &with("zstd"), &sound, 400),
        ("nor by deflate", "POST", traces, &json_with("deflate"), b"{}", 400),
        ("too large is 413", "POST", traces, &[PROTOBUF], &large, 413),
        ("too large as JSON is 413", "POST", "/v1/logs", &[JSON], &large, 413),
        ("too large unpacked is 413", "POST", traces, &with("gzip"), &bomb, 413),
        ("the same by zstd", "POST", traces, &with("zstd"), &zstd_bomb, 413),
        ("the same of JSON", "POST", traces, &json_with("gzip"), &bomb, 413),
    ] {
        let answer = served.ask(method, path, headers, body);
        assert_eq!(answer.status, code, "{name}: {}", answer.body.escape_ascii());
        let status = status_of(&answer);
        assert!(status.code != 0 && !status.message.is_empty(), "{name}: {status:?}");
        assert!(status.details.is_empty() && answer.header("retry-after").is_none(), "{name}");
        let form = headers.iter().find(|(key, _)| *key == "content-type").map(|(_, form)| *form);
        if let Some(form) = form.filter(|form| *form != "text/plain") {
            assert_eq!(answer.header("content-type"), Some(form), "{name}");
        }
        assert_eq!(answer.header("allow"), (code == 405).then_some("POST"), "{name}");
    }
    // And nothing of it harmed.
    assert_eq!(served.post(traces, &[PROTOBUF], &sound).status, 200);
}

/// Empty requests succeed, in both forms and for all signals; success leaves partial_success unset.
#[test]
fn success_says_nothing_more() {
    let served = Served::start();
    for path in ["/v1/traces", "/v1/metrics", "/v1/logs"] {
        for (form, body, expected) in [
            (PROTOBUF, &b""[..], &b""[..]),
            (PROTOBUF, b"\x0a\x00", b""),
            (JSON, b"{}", b"{}"),
            (("content-type", "application/json; charset=utf-8"), b" {} \n", b"{}"),
            (("content-type", "Application/X-Protobuf;x=\"y\""), b"", b""),
        ] {
            let answer = served.post(path, &[form], body);
            assert_eq!((answer.status, &answer.body[..]), (200, expected), "{path} {form:?}");
            let name = form.1.split(';').next().expect("a name").to_ascii_lowercase();
            assert_eq!(answer.header("content-type"), Some(&*name), "{path}");
        }
    }
    let answer = served.post("/v1/traces", &[PROTOBUF], &spans(&["a", "b"]));
    assert_eq!((answer.status, &answer.body[..]), (200, &b""[..]));
}

/// What is taken but for some says how many and why, and is 200.
#[test]
fn partial_success() {
    let served = Served::start();
    let answer = served.post("/v1/traces", &[PROTOBUF], &spans(&["a", "invalid", "b"]));
    assert_eq!(answer.status, 200);
    let response = ExportTraceServiceResponse::decode(&*answer.body).expect("a response");
    let partial = response.partial_success.expect("set");
    assert_eq!(partial.rejected_spans, 1);
    assert!(!partial.error_message.is_empty());
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"},
        {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174"}]}]}]}"#;
    let answer = served.post("/v1/traces", &[JSON], json);
    assert_eq!(answer.status, 200);
    let said: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(said["partialSuccess"]["rejectedSpans"], "1");
    assert!(said["partialSuccess"]["errorMessage"].as_str().is_some_and(|text| !text.is_empty()));
    until("the sound ones", || served.fake.spans().len() == 3);
}

/// Each packing, in each form, whole and in chunks.
#[test]
fn packings_and_chunks() {
    let served = Served::start();
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174"}]}]}]}"#;
    let sound = spans(&["a"]);
    let mut n_sent = 0;
    for (form, body) in [(PROTOBUF, &sound[..]), (JSON, json)] {
        for packing in ["identity", "gzip", "x-gzip", "deflate", "zstd", ""] {
            let name = if packing == "x-gzip" { "gzip" } else { packing };
            let body = packed(body, name);
            let headers = [form, ("content-encoding", packing)];
            let answer = served.post("/v1/traces", &headers, &body);
            assert_eq!(answer.status, 200, "{headers:?}: {}", answer.body.escape_ascii());
            let chunked = [&headers[..], &[("transfer-encoding", "chunked")]].concat();
            let answer = served.post("/v1/traces", &chunked, &in_chunks(&body));
            assert_eq!(answer.status, 200, "{chunked:?}: {}", answer.body.escape_ascii());
            n_sent += 2;
        }
    }
    until("all of them", || served.fake.spans().len() == n_sent);
    // A bound that no Content-Length announces.
    let chunked = [PROTOBUF, ("transfer-encoding", "chunked")];
    let answer = served.post("/v1/traces", &chunked, &in_chunks(&vec![0; 3 * MAX_REQUEST]));
    assert_eq!(answer.status, 413);
}

fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(body.len() / 3 + 1) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// One connection serves many requests, and one that is refused does not end it.
#[test]
fn a_connection_is_used_again() {
    let served = Served::start();
    let mut stream = served.connect();
    let sound = spans(&["a"]);
    let large = vec![0; 2 * MAX_REQUEST];
    let mut requests = Vec::new();
    for body in [&sound[..], b"\xff", &large, &sound] {
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\n{}: {}\r\ncontent-length: {}\r\n\r\n",
            PROTOBUF.0,
            PROTOBUF.1,
            body.len()
        );
        requests.extend_from_slice(&[head.as_bytes(), body].concat());
    }
    requests.extend_from_slice(&request("POST", "/v1/traces", &[PROTOBUF], b""));
    let writer = stream.try_clone().expect("a descriptor");
    let sending = std::thread::spawn(move || {
        std::io::Write::write_all(&mut &writer, &requests).expect("sent");
    });
    let mut answers = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answers).expect("answered");
    sending.join().expect("sent");
    let text = String::from_utf8_lossy(&answers);
    let codes: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(codes, ["200", "400", "413", "200", "200"]);
}

/// OK is said of what is durable: a SIGKILL right behind the answer takes nothing away.
#[test]
fn success_is_durable() {
    let mut served = Served::start();
    for round in 0..5 {
        let answer = served.post("/v1/traces", &[PROTOBUF], &spans(&["a", "b"]));
        assert_eq!(answer.status, 200);
        served.daemon.kill();
        served.daemon = served.place.daemon(&[]);
        until("both", || served.fake.spans().len() >= (round + 1) * 2);
        until("it listens", || std::net::TcpStream::connect(("127.0.0.1", served.port)).is_ok());
    }
}

/// While there is no memory for a request its client is asked to come again: 503, Retry-After and
/// RetryInfo.
#[test]
fn later_is_said_with_a_time() {
    let served = Served::with("", "memory: { limit: 16MiB }\n");
    let (_held, n_held) = super::hostile::held_memory(&served);
    assert!(n_held > 0);
    let large = spans(&["a".repeat(100_000).as_str()]);
    let answer = served.post("/v1/traces", &[PROTOBUF], &large);
    assert_eq!(answer.status, 503, "{}", answer.body.escape_ascii());
    assert_eq!(answer.header("retry-after"), Some("1"));
    let status = status_of(&answer);
    assert_eq!(status.code, 14);
    super::by_grpc::check_retry_info(&status);
    let answer = served.post("/v1/logs", &[JSON], &large);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(status_of(&answer).code, 14);
}

/// `Expect: 100-continue` is answered before the body is sent.
#[test]
fn continue_is_said() {
    let served = Served::start();
    let mut stream = served.connect();
    let sound = spans(&["a"]);
    let whole = request("POST", "/v1/traces", &[PROTOBUF, ("expect", "100-continue")], &sound);
    let (head, body) = whole.split_at(whole.len() - sound.len());
    std::io::Write::write_all(&mut stream, head).expect("sent");
    let mut said = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut said).expect("answered");
    assert_eq!(&said[..], b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(exchange(&mut stream, body).status, 200);
    // What is refused by its head is not sent for.
    for (path, len, code) in [("/v1/traces", 2 * MAX_REQUEST, 413), ("/v1/x", 10, 404)] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {len}\r\n\r\n"
        );
        assert_eq!(exchange(&mut served.connect(), head.as_bytes()).status, code);
    }
}

/// A field that we do not know comes out as it came in.
#[test]
fn unknown_fields_are_kept() {
    let served = Served::start();
    // Span { 1000: "of next year" }, beside its ids.
    let mut span = spans(&["a"]);
    let unknown = b"\xc2\x3e\x0cof next year";
    // resource_spans { scope_spans { spans { … } } }: the innermost is at the end.
    let inner = super::by_grpc::nested(&mut span, unknown);
    let answer = served.post("/v1/traces", &[PROTOBUF], &inner);
    assert_eq!(answer.status, 200);
    until("it is there", || {
        served.fake.raw().iter().any(|raw| raw.windows(15).any(|part| part == unknown))
    });
}
