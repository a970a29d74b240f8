//! An OTLP client as the specification has it: it says whether a request may be sent again.

use std::time::Duration;

use http_body_util::BodyExt;
use reqwest::header::HeaderMap;

/// How a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Stored; how many items were rejected.
    Stored { n_rejected: i64 },
    /// To be sent again; whether the server said when.
    Again { has_delay: bool },
    /// Not to be sent again.
    Refused { code: u32, words: String },
}

/// The two transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

/// One client and its connections.
#[derive(Clone)]
pub(crate) struct OtlpClient {
    http: reqwest::Client,
    url: String,
    protocol: Protocol,
}

/// A gRPC answer: code, message, body, trailers.
pub(crate) struct GrpcAnswer {
    pub(crate) code: u32,
    pub(crate) words: String,
    pub(crate) message: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl OtlpClient {
    pub(crate) fn new(url: &str, protocol: Protocol) -> Self {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls())
            .no_proxy()
            .timeout(Duration::from_secs(20));
        let builder = match protocol {
            Protocol::Grpc => builder.http2_prior_knowledge(),
            Protocol::Http => builder,
        };
        Self { http: builder.build().expect("a client"), url: url.to_owned(), protocol }
    }

    /// Sends spans.
    pub(crate) async fn traces(&self, request: Vec<u8>) -> Outcome {
        match self.protocol {
            Protocol::Grpc => self.grpc(SERVICES[0], request).await,
            Protocol::Http => self.http("/v1/traces", request).await,
        }
    }

    /// Sends logs.
    pub(crate) async fn logs(&self, request: Vec<u8>) -> Outcome {
        match self.protocol {
            Protocol::Grpc => self.grpc(SERVICES[1], request).await,
            Protocol::Http => self.http("/v1/logs", request).await,
        }
    }

    async fn http(&self, path: &str, request: Vec<u8>) -> Outcome {
        let post = self.http.post(format!("{}{path}", self.url));
        let post = post.header("content-type", "application/x-protobuf").body(request);
        let Ok(answer) = post.send().await else { return Outcome::Again { has_delay: false } };
        let status = answer.status().as_u16();
        let has_delay = answer.headers().contains_key("retry-after");
        let Ok(body) = answer.bytes().await else { return Outcome::Again { has_delay: false } };
        match status {
            200 => Outcome::Stored { n_rejected: n_rejected(&body) },
            429 | 502..=504 => Outcome::Again { has_delay },
            status => Outcome::Refused {
                code: u32::from(status),
                words: String::from_utf8_lossy(&body).into_owned(),
            },
        }
    }

    async fn grpc(&self, path: &str, request: Vec<u8>) -> Outcome {
        let frame = [&[0][..], &(request.len() as u32).to_be_bytes(), &request].concat();
        let answer = self.call(path, frame, None).await;
        let Some(answer) = answer else { return Outcome::Again { has_delay: false } };
        let has_delay = answer.trailers.contains_key("grpc-status-details-bin")
            && answer.trailers.contains_key("google.rpc.retryinfo-bin");
        match answer.code {
            0 => Outcome::Stored { n_rejected: n_rejected(&answer.message) },
            8 if has_delay => Outcome::Again { has_delay },
            1 | 4 | 10 | 11 | 14 | 15 => Outcome::Again { has_delay },
            code => Outcome::Refused { code, words: answer.words },
        }
    }

    /// One call with a body as it is; `None` when there is no answer.
    pub(crate) async fn call(
        &self,
        path: &str,
        frame: Vec<u8>,
        encoding: Option<&str>,
    ) -> Option<GrpcAnswer> {
        let mut post = self.http.post(format!("{}{path}", self.url));
        post = post.header("content-type", "application/grpc").header("te", "trailers");
        if let Some(encoding) = encoding {
            post = post.header("grpc-encoding", encoding);
        }
        let answer = post.body(frame).send().await.ok()?;
        let head = answer.headers().clone();
        let mut body = reqwest::Body::from(answer);
        let (mut message, mut trailers) = (Vec::new(), HeaderMap::new());
        while let Some(part) = body.frame().await {
            match part.ok()?.into_data() {
                Ok(data) => message.extend_from_slice(&data),
                Err(part) => trailers = part.into_trailers().unwrap_or_default(),
            }
        }
        let trailers = if trailers.contains_key("grpc-status") { trailers } else { head };
        let text = |name| trailers.get(name).and_then(|value| value.to_str().ok());
        let code = text("grpc-status")?.parse().ok()?;
        let words = text("grpc-message").unwrap_or_default().to_owned();
        let message = message.get(5..).unwrap_or_default().to_vec();
        Some(GrpcAnswer { code, words, message, trailers })
    }
}

/// The paths of spans' and logs' services.
pub(crate) const SERVICES: [&str; 2] = [
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
];

fn n_rejected(message: &[u8]) -> i64 {
    use super::otlp_proto::trace_service::ExportTraceServiceResponse;
    use prost::Message as _;
    let response = ExportTraceServiceResponse::decode(message).expect("a response");
    response.partial_success.map_or(0, |partial| partial.rejected_spans)
}

fn tls() -> rustls::ClientConfig {
    let provider = rustls::crypto::ring::default_provider();
    rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}
