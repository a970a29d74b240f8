//! A small client of Storage Write and of the REST API, which says exactly what it is told to.
//!
//! Owns connections and frames. Deliberately retries nothing.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Request;
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderMap;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::bigquery_proto::rpc::Status;
use crate::bigquery_proto::storage::append_rows_request::{ProtoData, Rows};
use crate::bigquery_proto::storage::append_rows_response::Response;
use crate::bigquery_proto::storage::write_stream::Type as StreamType;
use crate::bigquery_proto::storage::{
    AppendRowsRequest, AppendRowsResponse, CreateWriteStreamRequest, FinalizeWriteStreamRequest,
    FinalizeWriteStreamResponse, ProtoRows, ProtoSchema, StorageError, WriteStream,
};
use crate::fake_bigquery::FakeBigQuery;

type Body = BoxBody<Bytes, std::io::Error>;

pub(crate) const TABLE: &str = "projects/test/datasets/ml/tables/t";

/// A test that waits longer than this has failed.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);

pub(crate) fn default_stream() -> String {
    format!("{TABLE}/streams/_default")
}

/// Columns that the tests have, as triples for the fake.
pub(crate) const COLUMNS: [(&str, &str, &str); 5] = [
    ("id", "STRING", "REQUIRED"),
    ("n", "INT64", "NULLABLE"),
    ("at", "TIMESTAMP", "NULLABLE"),
    ("j", "JSON", "NULLABLE"),
    ("tags", "STRING", "REPEATED"),
];

/// A row of those columns, as prost writes it; what is `None` is not on the wire.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Row {
    #[prost(string, optional, tag = "1")]
    pub(crate) id: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub(crate) n: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    pub(crate) at: Option<i64>,
    #[prost(string, optional, tag = "4")]
    pub(crate) j: Option<String>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) tags: Vec<String>,
}

impl Row {
    pub(crate) fn named(id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..Self::default() }
    }
}

pub(crate) fn field(name: &str, number: i32, kind: Type, label: Label) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(label.into()),
        r#type: Some(kind.into()),
        ..FieldDescriptorProto::default()
    }
}

/// What describes [`Row`].
pub(crate) fn descriptor() -> DescriptorProto {
    DescriptorProto {
        name: Some("Row".to_owned()),
        field: vec![
            field("id", 1, Type::String, Label::Optional),
            // Names of columns have no case.
            field("N", 2, Type::Int64, Label::Optional),
            field("at", 3, Type::Int64, Label::Optional),
            field("j", 4, Type::String, Label::Optional),
            field("tags", 5, Type::String, Label::Repeated),
        ],
        ..DescriptorProto::default()
    }
}

/// A request with rows, and with what the first one must have.
pub(crate) fn first(stream: &str, offset: Option<i64>, rows: &[Row]) -> AppendRowsRequest {
    let mut request = further(offset, rows);
    request.write_stream = stream.to_owned();
    if let Some(Rows::ProtoRows(data)) = &mut request.rows {
        data.writer_schema = Some(ProtoSchema { proto_descriptor: Some(descriptor()) });
    }
    request
}

/// A request that leaves out what an earlier one said.
pub(crate) fn further(offset: Option<i64>, rows: &[Row]) -> AppendRowsRequest {
    let serialized_rows = rows.iter().map(Message::encode_to_vec).collect();
    AppendRowsRequest {
        offset,
        rows: Some(Rows::ProtoRows(ProtoData {
            writer_schema: None,
            rows: Some(ProtoRows { serialized_rows }),
        })),
        ..AppendRowsRequest::default()
    }
}

/// What comes of a request.
#[derive(Debug)]
pub(crate) enum Came {
    Said(AppendRowsResponse),
    /// The RPC ended with a code.
    Ended(i32, HeaderMap),
    Broken,
}

impl Came {
    /// The start that the rows have in their stream; panics unless they are stored.
    pub(crate) fn stored_at(self) -> Option<i64> {
        match self {
            Self::Said(AppendRowsResponse {
                response: Some(Response::AppendResult(result)),
                ..
            }) => result.offset,
            other => panic!("not stored: {other:?}"),
        }
    }

    /// A refusal's code and the number of its `StorageError`, 0 without one.
    pub(crate) fn refused_with(self) -> (i32, i32) {
        match self {
            Self::Said(AppendRowsResponse { response: Some(Response::Error(status)), .. }) => {
                (status.code, storage_error(&status))
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The code that the RPC ended with, and the number of its `StorageError`.
    pub(crate) fn ended_with(self) -> (i32, i32) {
        let Self::Ended(code, trailers) = self else { panic!("not ended: {self:?}") };
        let Some(details) = trailers.get("grpc-status-details-bin") else { return (code, 0) };
        let details = data_encoding::BASE64_NOPAD.decode(details.as_bytes()).expect("base64");
        (code, storage_error(&Status::decode(&details[..]).expect("a status")))
    }
}

fn storage_error(status: &Status) -> i32 {
    let detail = status.details.first();
    detail.map_or(0, |any| StorageError::decode(&any.value[..]).expect("an error").code)
}

/// A connection of gRPC.
pub(crate) struct Grpc {
    sender: http2::SendRequest<Body>,
    pub(crate) token: Option<String>,
}

/// An RPC of AppendRows.
pub(crate) struct Rpc {
    requests: Option<mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>>,
    answers: Incoming,
    head: HeaderMap,
    buffer: BytesMut,
}

impl Grpc {
    pub(crate) async fn to(fake: &FakeBigQuery) -> Self {
        let address = fake.grpc_url().replace("http://", "");
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { sender, token: None }
    }

    fn request(&self, method: &str, routing: &str, body: Body) -> Request<Body> {
        let path = format!("/google.cloud.bigquery.storage.v1.BigQueryWrite/{method}");
        let mut request = Request::post(format!("http://fake{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("x-goog-request-params", routing.replace('/', "%2F"));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(body).expect("a request")
    }

    /// Opens an RPC whose metadata names this stream.
    pub(crate) async fn append(&mut self, stream: &str) -> Rpc {
        self.append_with(&format!("write_stream={stream}")).await
    }

    pub(crate) async fn append_with(&mut self, routing: &str) -> Rpc {
        let (requests, sent) = mpsc::channel(16);
        let body = BodyExt::boxed(StreamBody::new(ReceiverStream::new(sent)));
        let request = self.request("AppendRows", routing, body);
        let answer = self.sender.send_request(request).await.expect("an answer's head");
        let (head, answers) = answer.into_parts();
        Rpc { requests: Some(requests), answers, head: head.headers, buffer: BytesMut::new() }
    }

    /// A call's answer, or its code; `None` when the connection broke.
    async fn call(&mut self, method: &str, routing: &str, message: Vec<u8>) -> Option<Called> {
        let body = Full::new(framed(&message)).map_err(|never| match never {});
        let request = self.request(method, routing, BodyExt::boxed(body));
        let answer = self.sender.send_request(request).await.ok()?;
        let (head, body) = answer.into_parts();
        let whole = body.collect().await.ok()?;
        let trailers = whole.trailers().cloned().unwrap_or(head.headers);
        let body = whole.to_bytes();
        Some((code_of(&trailers)?, body.get(5..).unwrap_or_default().to_vec()))
    }

    pub(crate) async fn create(&mut self) -> Result<String, i32> {
        let stream = WriteStream { r#type: StreamType::Committed.into(), ..WriteStream::default() };
        let request =
            CreateWriteStreamRequest { parent: TABLE.to_owned(), write_stream: Some(stream) };
        let routing = format!("parent={TABLE}");
        let called = self.call("CreateWriteStream", &routing, request.encode_to_vec()).await;
        match called.ok_or(-1)? {
            (0, message) => {
                let stream = WriteStream::decode(&message[..]).expect("a stream");
                assert!(!stream.table_schema.expect("a schema").fields.is_empty());
                Ok(stream.name)
            }
            (code, _) => Err(code),
        }
    }

    pub(crate) async fn finalize(&mut self, name: &str) -> Result<i64, i32> {
        let request = FinalizeWriteStreamRequest { name: name.to_owned() };
        let routing = format!("name={name}");
        let called = self.call("FinalizeWriteStream", &routing, request.encode_to_vec()).await;
        match called.ok_or(-1)? {
            (0, message) => {
                let said = FinalizeWriteStreamResponse::decode(&message[..]).expect("a response");
                Ok(said.row_count)
            }
            (code, _) => Err(code),
        }
    }
}

/// A code and a message.
type Called = (i32, Vec<u8>);

impl Rpc {
    pub(crate) fn send(&self, request: &AppendRowsRequest) {
        let frame = Frame::data(framed(&request.encode_to_vec()));
        let requests = self.requests.as_ref().expect("not ended");
        // A server that ended the RPC is told of by what comes.
        let _ = requests.try_send(Ok(frame));
    }

    pub(crate) async fn say(&mut self, request: &AppendRowsRequest) -> Came {
        self.send(request);
        self.came().await
    }

    /// Sends nothing more, and waits for the end.
    pub(crate) async fn end(mut self) -> Came {
        self.requests = None;
        self.came().await
    }

    pub(crate) async fn came(&mut self) -> Came {
        let came = tokio::time::timeout(WITHIN, self.next());
        came.await.expect("an answer within ten seconds")
    }

    async fn next(&mut self) -> Came {
        loop {
            if let Some(head) = self.buffer.get(1..5) {
                let len = u32::from_be_bytes(head.try_into().expect("four")) as usize;
                if self.buffer.len() >= 5 + len {
                    let frame = self.buffer.split_to(5 + len);
                    let response = AppendRowsResponse::decode(&frame[5..]).expect("a response");
                    return Came::Said(response);
                }
            }
            let frame = match self.answers.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(_)) => return Came::Broken,
                None => {
                    let code = code_of(&self.head);
                    return code.map_or(Came::Broken, |code| Came::Ended(code, self.head.clone()));
                }
            };
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().expect("trailers");
                    return Came::Ended(code_of(&trailers).expect("a code"), trailers);
                }
            }
        }
    }
}

fn code_of(trailers: &HeaderMap) -> Option<i32> {
    trailers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn framed(message: &[u8]) -> Bytes {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat().into()
}

/// One request of HTTP/1.1 on a connection of its own: status, headers and JSON; `None` when the
/// connection broke.
pub(crate) async fn rest(
    fake: &FakeBigQuery,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Option<(u16, HeaderMap, Value)> {
    let address = fake.rest_url().replace("http://", "");
    let stream = TcpStream::connect(&address).await.expect("a connection");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some((head.status.as_u16(), head.headers, body))
}
