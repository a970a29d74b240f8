//! One RPC of AppendRows: requests as they come, one response each, in their order.
//!
//! Owns what the requests of one connection must have together, and the acts. What an append does
//! is in `streams`.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use prost::Message;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::super::bigquery_proto::storage::append_rows_request::Rows as Sent;
use super::super::bigquery_proto::storage::{AppendRowsRequest, AppendRowsResponse};
use super::connection::{Body, Connection};
use super::grpc::{self, Status};
use super::rows::{Shape, Unfit};
use super::streams::{Name, Rows, Said, Versions, bad_rows, refused};
use super::{Act, Append, FakeBigQuery, Outcome, code, schema};

type Answers = mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>;

/// Messages that wait to be looked at, and answers that wait to be taken: beyond it, the other side
/// waits, as HTTP/2 has it.
const QUEUED_MAX: usize = 64;

/// How long a connection that its client left may take to be seen as closed.
const LEFT_WITHIN: Duration = Duration::from_secs(1);

/// What the requests of one RPC have in common.
struct Rpc {
    fake: FakeBigQuery,
    connection: Connection,
    number: u64,
    headers: HeaderMap,
    answers: Answers,
    /// The stream of the last request, and whether there were others.
    stream: Option<String>,
    is_switched: bool,
    shape: Option<Shape>,
    versions: Versions,
}

/// A request that was looked at.
struct Looked {
    /// In the list of appends.
    index: usize,
    act: Act,
    n_releases: u64,
    /// What is wrong with its form, and whether that ends the RPC.
    wrong: Option<Status>,
    is_last: bool,
    offset: Option<i64>,
    rows: Vec<Vec<u8>>,
}

pub(crate) fn serve(
    fake: &FakeBigQuery,
    connection: &Connection,
    request: Request<Incoming>,
) -> Response<Body> {
    let (answers, taken) = mpsc::channel(QUEUED_MAX);
    let (head, body) = request.into_parts();
    let number = {
        let mut state = fake.state();
        state.n_rpcs += 1;
        state.n_rpcs
    };
    let rpc = Rpc {
        fake: fake.clone(),
        connection: connection.clone(),
        number,
        headers: head.headers,
        answers,
        stream: None,
        is_switched: false,
        shape: None,
        versions: Versions::new(),
    };
    tokio::spawn(rpc.run(body));
    let body = StreamBody::new(ReceiverStream::new(taken));
    grpc::answered(BodyExt::boxed(body))
}

impl Rpc {
    async fn run(mut self, body: Incoming) {
        let (messages, mut came) = mpsc::channel(QUEUED_MAX);
        tokio::spawn(read(body, self.headers.clone(), messages));
        let answers = self.answers.clone();
        let mut idle = self.fake.idle.subscribe();
        loop {
            let message = tokio::select! {
                // What came is looked at, even of a client that is gone.
                biased;
                message = came.recv() => message,
                () = answers.closed() => return,
                _ = idle.changed() => {
                    let status = Status::new(code::ABORTED, "Closing the stream: it is idle");
                    let _ = answers.send(Ok(Frame::trailers(status.trailers()))).await;
                    return;
                }
            };
            let status = match message {
                None => Status::new(0, ""),
                Some(Err(no)) => {
                    self.fake.state().offend(no.clone());
                    Status::new(code::INTERNAL, no)
                }
                Some(Ok(message)) => match self.one(&message).await {
                    Ok(()) => continue,
                    Err(Some(status)) => status,
                    Err(None) => return,
                },
            };
            let _ = self.answers.send(Ok(Frame::trailers(status.trailers()))).await;
            return;
        }
    }

    /// One request; an `Err` ends the RPC, by a status or without one.
    async fn one(&mut self, message: &Bytes) -> Result<(), Option<Status>> {
        let looked = self.look(message);
        let index = looked.index;
        if let Some(name) = self.stream.clone() {
            self.claim(&name).await.map_err(|status| self.failed(index, status))?;
        }
        match &looked.act {
            Act::Break => return Err(self.broken(index)),
            Act::Fail(code, message) => {
                return Err(self.failed(index, Status::new(*code, message.clone())));
            }
            Act::Hang => self.held(looked.n_releases).await?,
            _ => {}
        }
        let said = match &looked.wrong {
            Some(status) if looked.is_last => {
                return Err(self.failed(index, status.clone()));
            }
            Some(status) => refused(status, self.stream.as_deref().unwrap_or_default()),
            None => self.said(&looked),
        };
        let (response, outcome) = said.map_err(|status| self.failed(index, status))?;
        self.fake.state().appends[index].outcome = outcome;
        match looked.act {
            Act::StoreAndBreak => return Err(self.broken(index)),
            Act::StoreAndHang => self.held(looked.n_releases).await?,
            Act::Slow(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            _ => {}
        }
        self.answer(index, &response).await
    }

    async fn answer(
        &self,
        index: usize,
        response: &AppendRowsResponse,
    ) -> Result<(), Option<Status>> {
        self.fake.state().appends[index].receipt = Some(self.connection.answer());
        let frame = Frame::data(grpc::framed(&response.encode_to_vec()));
        self.answers.send(Ok(frame)).await.map_err(|_| None)
    }

    fn failed(&self, index: usize, status: Status) -> Option<Status> {
        self.fake.state().appends[index].outcome = Outcome::Failed(status.code);
        Some(status)
    }

    fn broken(&self, index: usize) -> Option<Status> {
        let mut state = self.fake.state();
        let outcome = &mut state.appends[index].outcome;
        // What was stored stays told.
        if *outcome == Outcome::Waiting {
            *outcome = Outcome::Broken;
        }
        self.connection.break_off();
        None
    }

    async fn held(&self, n_releases: u64) -> Result<(), Option<Status>> {
        tokio::select! {
            () = self.fake.release_after(n_releases) => Ok(()),
            () = self.answers.closed() => Err(None),
        }
    }

    /// Only one connection for a stream that was created.
    async fn claim(&self, stream: &str) -> Result<(), Status> {
        if Name::parse(stream).is_none_or(|name| name.is_default()) {
            return Ok(());
        }
        let other = {
            let mut state = self.fake.state();
            let mine = (self.number, self.answers.downgrade());
            match state.streams.claim(stream, mine) {
                None => return Ok(()),
                Some(other) => other,
            }
        };
        // It may be one that its client left just now.
        let left = tokio::time::timeout(LEFT_WITHIN, other.closed()).await;
        if left.is_err() {
            let what = format!("two connections for {stream}");
            self.fake.state().offend(what.clone());
            return Err(Status::new(code::ABORTED, what));
        }
        Ok(())
    }

    /// Reads a request, and notes what it must have and has not.
    fn look(&mut self, message: &Bytes) -> Looked {
        let read = AppendRowsRequest::decode(&message[..]);
        let mut is_last = read.is_err();
        let fake = self.fake.clone();
        let mut state = fake.state();
        let act = state.acts.pop_front().or_else(|| state.always.clone()).unwrap_or(Act::Serve);
        let mut wrong = None;
        let request = read.unwrap_or_else(|error| {
            let what = format!("no AppendRowsRequest: {error}");
            wrong = Some(Status::new(code::INTERNAL, what));
            AppendRowsRequest::default()
        });
        let mut rows = Vec::new();
        let mut has_schema = false;
        let trace_id = request.trace_id.clone();
        let is_first = self.stream.is_none();
        if let (true, Err(no)) =
            (is_first, grpc::check_routing(&self.headers, "write_stream", &request.write_stream))
        {
            state.offend(no);
        }
        let form = self.form(&request).and_then(|()| match request.rows {
            Some(Sent::ProtoRows(sent)) => {
                rows = sent.rows.map(|rows| rows.serialized_rows).unwrap_or_default();
                let schema = sent.writer_schema.and_then(|schema| schema.proto_descriptor);
                has_schema = schema.is_some();
                self.shape(schema.as_ref(), rows.len())
            }
            _ => Err("no rows of protobuf".to_owned()),
        });
        if let Err(no) = form {
            wrong = wrong.or_else(|| Some(Status::new(code::INVALID_ARGUMENT, no)));
        }
        if let Some(status) = &wrong {
            state.offend(status.message.clone());
        }
        let max = fake.options.request_bytes_max;
        if message.len() > max {
            let what = format!("AppendRows request too large: {} limit {max}", message.len());
            state.refuse(what.clone());
            wrong = Some(Status::new(code::INVALID_ARGUMENT, what));
            is_last |= fake.options.too_large_ends;
        }
        state.appends.push(Append {
            at: Instant::now(),
            connection: self.connection.number,
            rpc: self.number,
            stream: self.stream.clone().unwrap_or_default(),
            offset: request.offset,
            n_rows: rows.len(),
            n_bytes: message.len(),
            has_schema,
            trace_id,
            rows: rows.clone(),
            outcome: Outcome::Waiting,
            receipt: None,
            is_answer_doubtful: false,
        });
        let index = state.appends.len() - 1;
        let n_releases = fake.n_releases();
        Looked { index, act, n_releases, wrong, is_last, offset: request.offset, rows }
    }

    /// The stream that a request is for.
    fn form(&mut self, request: &AppendRowsRequest) -> Result<(), String> {
        let named = &request.write_stream;
        let Some(before) = self.stream.clone() else {
            if named.is_empty() {
                return Err("the first request names no write_stream".to_owned());
            }
            self.stream = Some(named.clone());
            return match Name::parse(named) {
                Some(_) => Ok(()),
                None => Err(format!("no stream's name: {named}")),
            };
        };
        if named.is_empty() {
            return match self.is_switched {
                true => Err("no write_stream on a connection for several".to_owned()),
                false => Ok(()),
            };
        }
        if *named != before {
            let is_default = |name: &str| Name::parse(name).is_some_and(|name| name.is_default());
            if !(is_default(named) && is_default(&before)) {
                return Err(format!("from {before} to {named} on one connection"));
            }
            self.stream = Some(named.clone());
            self.is_switched = true;
            self.shape = None;
        }
        Ok(())
    }

    /// What the rows look like, from now on.
    fn shape(
        &mut self,
        descriptor: Option<&prost_types::DescriptorProto>,
        n_rows: usize,
    ) -> Result<(), String> {
        let is_first = self.shape.is_none();
        if let Some(descriptor) = descriptor {
            self.shape = Some(Shape::new(descriptor).map_err(|unfit| match unfit {
                Unfit::Never(what) | Unfit::Extra(what) | Unfit::Other(what) => what,
            })?);
        }
        match self.shape {
            None => Err("no writer_schema in the first request for a table".to_owned()),
            Some(_) if n_rows == 0 && !is_first => Err("a request without rows".to_owned()),
            Some(_) => Ok(()),
        }
    }

    fn said(&mut self, looked: &Looked) -> Said {
        let stream = self.stream.clone().expect("checked before");
        match &looked.act {
            Act::Say(code, message) => {
                return refused(&Status::new(*code, message.clone()), &stream);
            }
            Act::SayError(code, error) => {
                let status = Status::with(*code, *error, &stream, "told to");
                return refused(&status, &stream);
            }
            Act::RowErrors(rows) => {
                let rows: Vec<_> = rows.iter().map(|row| (*row, "told to".to_owned())).collect();
                return bad_rows(&rows, &stream);
            }
            _ => {}
        }
        let mut state = self.fake.state();
        let shape = self.shape.as_ref().expect("checked before");
        let rows = Rows { stream: &stream, offset: looked.offset, shape, rows: &looked.rows };
        let (mut response, outcome) = state.append(&self.fake.options.project, &rows)?;
        let name = Name::parse(&stream).expect("checked before").table;
        let table = &state.tables[&name];
        let known = self.versions.insert(name, table.version());
        let is_news = known.is_some_and(|known| known != table.version());
        if is_news || matches!(looked.act, Act::UpdatedSchema) {
            response.updated_schema = Some(schema::told(table.written()));
        }
        Ok((response, outcome))
    }
}

/// Takes messages off the wire as fast as they come, whatever becomes of them.
async fn read(
    mut body: Incoming,
    headers: HeaderMap,
    messages: mpsc::Sender<Result<Bytes, String>>,
) {
    let mut buffer = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Broken off: what came whole is looked at all the same, as it would be by a server.
        let Ok(frame) = frame else { break };
        if let Ok(data) = frame.into_data() {
            buffer.extend_from_slice(&data);
        }
        loop {
            match grpc::next_message(&mut buffer, &headers) {
                Ok(None) => break,
                Ok(Some(message)) => {
                    if messages.send(Ok(message)).await.is_err() {
                        return;
                    }
                }
                Err(no) => {
                    let _ = messages.send(Err(no)).await;
                    return;
                }
            }
        }
    }
}
