//! The binary with an OTLP source, a receiver behind it, and HTTP/1.1 by hand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use prost::Message as _;

use super::fake_otlp::FakeOtlp;
use super::otlp_client::{OtlpClient, Protocol};
use super::otlp_proto::trace::{ResourceSpans, ScopeSpans, Span};
use super::otlp_proto::trace_service::ExportTraceServiceRequest;
use super::rig::{Daemon, Place, until};

pub(crate) const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// Of `max_request`: small, so that what is beyond it is sent quickly.
pub(crate) const MAX_REQUEST: usize = 1 << 20;

/// A daemon that takes OTLP, and what it delivers to.
pub(crate) struct Served {
    pub(crate) fake: FakeOtlp,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) place: Place,
    pub(crate) daemon: Daemon,
    pub(crate) port: u16,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::with("", "")
    }

    /// With more for the source, and more for the config; `@` is the place's folder.
    pub(crate) fn with(source: &str, more: &str) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        let fake = runtime.block_on(FakeOtlp::start());
        fake.keep();
        let port = free_port();
        let http = if source.contains("http:") { "" } else { ", http: off" };
        let config = format!(
            "service: {{ name: fraud }}\n\
             sources: {{ otlp: {{ type: otlp, grpc: \"127.0.0.1:{port}\", \
               max_request: 1MiB{source}{http} }} }}\n\
             sinks: {{ tempo: {{ type: otlp, endpoint: \"{}\", protocol: http, compression: none, \
               batch: {{ max_age: 20ms }}, retry: {{ initial: 20ms, max: 200ms }} }} }}\n\
             spool: {{ type: disk, path: \"@/spool\" }}\n{more}",
            fake.url()
        );
        let mut place = Place::with(&config);
        let daemon = place.daemon(&[]);
        until("the source listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { fake, runtime, place, daemon, port }
    }

    /// An HTTP/1.1 request, answered.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.ask("POST", path, headers, body)
    }

    #[track_caller]
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        exchange(&mut self.connect(), &request(method, path, headers, body))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream
    }

    pub(crate) fn grpc(&self) -> OtlpClient {
        OtlpClient::new(&format!("http://127.0.0.1:{}", self.port), Protocol::Grpc)
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A request as it goes over the wire; the connection ends with the answer.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| *name == "transfer-encoding") {
        out.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    [out.as_bytes(), b"\r\n", body].concat()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends and reads to the end.
#[track_caller]
pub(crate) fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> Answer {
    stream.write_all(request).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    parsed(&answer)
}

#[track_caller]
pub(crate) fn parsed(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

/// A span with ids, and none where they should be, as a request.
pub(crate) fn spans(names: &[&str]) -> Vec<u8> {
    let spans = names.iter().enumerate().map(|(n, name)| Span {
        trace_id: vec![7; 16],
        span_id: if *name == "invalid" { Vec::new() } else { (n as u64 + 1).to_be_bytes().into() },
        name: (*name).to_owned(),
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// `google.rpc.Status`, from its definition.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(crate) retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Delay {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

/// `bytes` in each way that a request can be packed.
pub(crate) fn packed(bytes: &[u8], by: &str) -> Vec<u8> {
    let level = flate2::Compression::best();
    match by {
        "gzip" => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
            packer.write_all(bytes).expect("memory");
            packer.finish().expect("memory")
        }
        "deflate" => {
            let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), level);
            packer.write_all(bytes).expect("memory");
            packer.finish().expect("memory")
        }
        "zstd" => zstd::bulk::compress(bytes, 1).expect("memory"),
        _ => bytes.to_vec(),
    }
}
