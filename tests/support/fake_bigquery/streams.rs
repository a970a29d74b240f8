//! Write streams: which there are, how many rows each has, and what an append to one does.
//!
//! Owns offsets and what BigQuery answers about them and about a schema. Knows no connection.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use hyper::body::Frame;
use prost_types::Timestamp;
use tokio::sync::mpsc;

use super::super::bigquery_proto::storage::append_rows_response::{AppendResult, Response};
use super::super::bigquery_proto::storage::row_error::RowErrorCode;
use super::super::bigquery_proto::storage::write_stream::{Type, WriteMode};
use super::super::bigquery_proto::storage::{
    AppendRowsResponse, CreateWriteStreamRequest, FinalizeWriteStreamResponse, RowError,
    WriteStream,
};
use super::grpc::Status;
use super::rows::{Shape, Unfit};
use super::{Outcome, State, StorageErrorCode, code, schema};

/// One that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) name: String,
    /// DATASET.TABLE.
    pub(crate) table: String,
    pub(crate) n_rows: i64,
    pub(crate) is_finalized: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Streams {
    by_name: BTreeMap<String, Stream>,
    n_created: usize,
    /// The RPC that each is written by.
    open: HashMap<String, Claim>,
}

/// The number of an RPC, and where its answers go for as long as it lives.
pub(crate) type Claim = (u64, WeakAnswers);

type WeakAnswers = mpsc::WeakSender<Result<Frame<Bytes>, std::io::Error>>;
type Answers = mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>;

impl Streams {
    pub(crate) fn all(&self) -> Vec<Stream> {
        self.by_name.values().cloned().collect()
    }

    pub(crate) fn grow(&mut self, stream: &str, n_rows: i64) {
        self.by_name.get_mut(stream).expect("a stream").n_rows += n_rows;
    }

    /// Gives a stream to an RPC; another one's that has it still, if one has.
    pub(crate) fn claim(&mut self, stream: &str, mine: Claim) -> Option<Answers> {
        let number = mine.0;
        let (other, answers) = self.open.insert(stream.to_owned(), mine)?;
        answers.upgrade().filter(|answers| other != number && !answers.is_closed())
    }

    /// Those of a table.
    pub(crate) fn forget(&mut self, table: &str) {
        self.by_name.retain(|_, stream| stream.table != table);
    }
}

/// A stream's name in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) project: String,
    /// DATASET.TABLE.
    pub(crate) table: String,
    pub(crate) stream: String,
}

impl Name {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('/').collect();
        let ["projects", project, "datasets", dataset, "tables", table, "streams", stream] =
            parts[..]
        else {
            return None;
        };
        let table = format!("{dataset}.{table}");
        Some(Self { project: project.to_owned(), table, stream: stream.to_owned() })
    }

    pub(crate) fn is_default(&self) -> bool {
        self.stream == "_default"
    }
}

/// What is to be appended.
pub(crate) struct Rows<'a> {
    /// The stream's whole name.
    pub(crate) stream: &'a str,
    pub(crate) offset: Option<i64>,
    pub(crate) shape: &'a Shape,
    pub(crate) rows: &'a [Vec<u8>],
}

/// What is said to it; an `Err` ends the RPC.
pub(crate) type Said = Result<(AppendRowsResponse, Outcome), Status>;

/// A refusal in the response.
pub(crate) fn refused(status: &Status, stream: &str) -> Said {
    let response = AppendRowsResponse {
        response: Some(Response::Error(status.told())),
        write_stream: stream.to_owned(),
        ..AppendRowsResponse::default()
    };
    let outcome = match status.code {
        code::ALREADY_EXISTS => Outcome::There,
        code => Outcome::Refused(code),
    };
    Ok((response, outcome))
}

/// A refusal of some rows, and so of all.
pub(crate) fn bad_rows(rows: &[(usize, String)], stream: &str) -> Said {
    let message = "Errors found while processing rows. Please refer to the row_errors field.";
    let (mut response, outcome) = refused(&Status::new(code::INVALID_ARGUMENT, message), stream)?;
    let error = |(index, message): &(usize, String)| RowError {
        index: *index as i64,
        code: RowErrorCode::FieldsError.into(),
        message: message.clone(),
    };
    response.row_errors = rows.iter().map(error).collect();
    Ok((response, outcome))
}

impl State {
    /// Appends rows, if all that BigQuery looks at lets it.
    pub(crate) fn append(&mut self, project: &str, rows: &Rows<'_>) -> Said {
        let stream = rows.stream;
        let name = Name::parse(stream).expect("checked before");
        self.table_there(project, &name, stream)?;
        let end = match self.streams.by_name.get(stream) {
            _ if name.is_default() => None,
            None => return Err(self.no_stream(stream)),
            Some(one) if one.is_finalized => {
                self.refuse(format!("finalized: {stream}"));
                let error = StorageErrorCode::StreamFinalized;
                let message = "Stream is finalized";
                let status = Status::with(code::INVALID_ARGUMENT, error, stream, message);
                return refused(&status, stream);
            }
            Some(one) => Some(one.n_rows),
        };
        if let Some(refusal) = self.wrong_offset(stream, end, rows.offset) {
            return refused(&refusal, stream);
        }
        let table = self.tables.get(&name.table).expect("it is there");
        if let Err(unfit) = rows.shape.fits(table.written()) {
            let refusal = self.unfit(unfit, stream);
            return refused(&refusal, stream);
        }
        let read = rows
            .rows
            .iter()
            .map(|row| rows.shape.row(row, table.written(), table.partitioned_by()));
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (index, row) in read.enumerate() {
            match row {
                Ok(row) => good.push(row),
                Err(no) => bad.push((index, no)),
            }
        }
        if let Some((index, no)) = bad.first() {
            self.offend(format!("row {index} of {stream}: {no}"));
            return bad_rows(&bad, stream);
        }
        let n_rows = good.len() as i64;
        self.tables.get_mut(&name.table).expect("it is there").store(good);
        if let Some(one) = self.streams.by_name.get_mut(stream) {
            one.n_rows += n_rows;
        }
        let response = AppendRowsResponse {
            response: Some(Response::AppendResult(AppendResult { offset: end })),
            write_stream: stream.to_owned(),
            ..AppendRowsResponse::default()
        };
        Ok((response, Outcome::Stored))
    }

    fn table_there(&mut self, project: &str, name: &Name, entity: &str) -> Result<(), Status> {
        if name.project == project && self.tables.contains_key(&name.table) {
            return Ok(());
        }
        self.refuse(format!("no table: {}", name.table));
        let error = StorageErrorCode::TableNotFound;
        Err(Status::with(code::NOT_FOUND, error, entity, "Requested entity was not found."))
    }

    fn no_stream(&mut self, stream: &str) -> Status {
        self.refuse(format!("no stream: {stream}"));
        let error = StorageErrorCode::StreamNotFound;
        Status::with(code::NOT_FOUND, error, stream, "Requested entity was not found.")
    }

    fn wrong_offset(
        &mut self,
        stream: &str,
        end: Option<i64>,
        offset: Option<i64>,
    ) -> Option<Status> {
        let offset = offset?;
        let Some(end) = end else {
            self.offend(format!("an offset on {stream}"));
            let message = "Offset cannot be specified for the default stream.";
            return Some(Status::new(code::INVALID_ARGUMENT, message));
        };
        let (code, error) = match offset.cmp(&end) {
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Less => {
                (code::ALREADY_EXISTS, StorageErrorCode::OffsetAlreadyExists)
            }
            std::cmp::Ordering::Greater => (code::OUT_OF_RANGE, StorageErrorCode::OffsetOutOfRange),
        };
        let message = format!("The offset is {offset}, expected offset {end}");
        self.refuse(format!("{message}: {stream}"));
        Some(Status::with(code, error, stream, message))
    }

    fn unfit(&mut self, unfit: Unfit, stream: &str) -> Status {
        match unfit {
            Unfit::Extra(field) => {
                let message = format!("Input schema has more fields than BigQuery schema, {field}");
                self.refuse(message.clone());
                let error = StorageErrorCode::SchemaMismatchExtraFields;
                Status::with(code::INVALID_ARGUMENT, error, stream, message)
            }
            Unfit::Never(what) | Unfit::Other(what) => {
                self.offend(format!("schema of {stream}: {what}"));
                Status::new(code::INVALID_ARGUMENT, format!("Schema mismatch: {what}"))
            }
        }
    }

    pub(crate) fn create_stream(
        &mut self,
        project: &str,
        request: &CreateWriteStreamRequest,
    ) -> Result<WriteStream, Status> {
        let asked = request.write_stream.as_ref().map_or(Type::Unspecified, WriteStream::r#type);
        let n = self.streams.n_created + 1;
        let stream = format!("{}/streams/Cg{n:08}", request.parent);
        let Some(name) = Name::parse(&stream) else {
            self.offend(format!("no table's name: {}", request.parent));
            return Err(Status::new(code::INVALID_ARGUMENT, "Invalid parent"));
        };
        if asked != Type::Committed {
            self.offend(format!("the fake has no streams of {asked:?}"));
            return Err(Status::new(code::INVALID_ARGUMENT, format!("{asked:?}")));
        }
        self.table_there(project, &name, &request.parent)?;
        self.streams.n_created = n;
        let one =
            Stream { name: stream.clone(), table: name.table, n_rows: 0, is_finalized: false };
        self.streams.by_name.insert(stream.clone(), one);
        let mut told = self.write_stream(project, &stream)?;
        let table = Name::parse(&stream).expect("ours").table;
        told.table_schema = Some(schema::told(self.tables[&table].written()));
        Ok(told)
    }

    pub(crate) fn write_stream(
        &mut self,
        project: &str,
        stream: &str,
    ) -> Result<WriteStream, Status> {
        let Some(name) = Name::parse(stream) else {
            return Err(Status::new(code::INVALID_ARGUMENT, "Invalid stream name"));
        };
        self.table_there(project, &name, stream)?;
        if !name.is_default() && !self.streams.by_name.contains_key(stream) {
            return Err(self.no_stream(stream));
        }
        let created = Some(Timestamp { seconds: 1_780_000_000, nanos: 0 });
        Ok(WriteStream {
            name: stream.to_owned(),
            r#type: Type::Committed.into(),
            create_time: created,
            commit_time: created,
            table_schema: None,
            write_mode: WriteMode::Insert.into(),
            location: "US".to_owned(),
        })
    }

    pub(crate) fn finalize_stream(
        &mut self,
        stream: &str,
    ) -> Result<FinalizeWriteStreamResponse, Status> {
        if Name::parse(stream).is_some_and(|name| name.is_default()) {
            self.offend("the default stream cannot be finalized");
            return Err(Status::new(code::INVALID_ARGUMENT, "the default stream"));
        }
        let Some(one) = self.streams.by_name.get_mut(stream) else {
            return Err(self.no_stream(stream));
        };
        one.is_finalized = true;
        Ok(FinalizeWriteStreamResponse { row_count: one.n_rows })
    }
}

/// Which version of a table's schema an RPC has been told of.
pub(crate) type Versions = HashMap<String, u64>;
