//! Rows of one table as one Parquet file: they gather into row groups ([`super::group`]), each
//! written out as soon as it is full, so that neither the input nor more than one row group is ever
//! held beside the compressed file.

use std::ops::Range;
use std::sync::Arc;

use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::group::Group;
use super::{Format, name, table};
use crate::event::batch::Batch;
use crate::sinks::row::Names;
use crate::sinks::row::build::Builder;
use crate::sinks::row::schema::Schema;
use crate::sinks::{Body, Encoder, LogRange, Refused};

/// The file's bytes count this many times in [`Encoder::len`]: features that hardly compress
/// (random doubles: two to one) close the file before it outgrows a quarter of
/// [`Format::close_bytes`].
const FILE_BYTES_WEIGHT: usize = 4;

/// Key in the file's metadata of the first event's record id, which tells whose file it is.
pub(super) const FIRST_RECORD_ID: &str = "sidewake.first_record_id";

/// One file in the making.
pub(super) struct Table {
    tier: Arc<str>,
    schema: Schema,
    names: Arc<Names>,
    builder: Builder,
    group: Group,
    /// Made with the first row.
    file: Option<SerializedFileWriter<Vec<u8>>>,
    /// Observed time and record id of the first event.
    first: Option<(i64, String)>,
    input_bytes: usize,
    failure: Option<String>,
}

impl Table {
    pub(super) fn new(tier: Arc<str>, schema: Schema, names: Arc<Names>) -> Self {
        Self {
            tier,
            schema,
            builder: Builder::new(schema, names.clone()),
            names,
            group: Group::new(schema),
            file: None,
            first: None,
            input_bytes: 0,
            failure: None,
        }
    }

    fn write_group(
        schema: Schema,
        group: &mut Group,
        file: &mut Option<SerializedFileWriter<Vec<u8>>>,
    ) -> parquet::errors::Result<()> {
        let file = match file {
            Some(file) => file,
            None => {
                let properties = Arc::new(table::properties(schema)?);
                // Only what is written of it is touched; growing would touch it twice over.
                let bytes = Vec::with_capacity(Format::Parquet.close_bytes() / FILE_BYTES_WEIGHT);
                let writer = SerializedFileWriter::new(bytes, table::schema(schema)?, properties)?;
                file.insert(writer)
            }
        };
        group.write(file)
    }

    fn complete(&mut self, range: LogRange) -> parquet::errors::Result<Vec<u8>> {
        Self::write_group(self.schema, &mut self.group, &mut self.file)?;
        let Some(mut file) = self.file.take() else { return Ok(Vec::new()) };
        let first = self.first.as_ref().map(|(_, id)| id.clone()).unwrap_or_default();
        for (key, value) in [
            (FIRST_RECORD_ID, first),
            ("sidewake.log_from", format!("{:016x}", range.from)),
            ("sidewake.log_to", format!("{:016x}", range.to)),
            ("sidewake.policy", self.names.policy.clone()),
            ("sidewake.table", format!("{}/1", self.schema.as_str())),
            ("sidewake.tier", self.tier.to_string()),
            ("sidewake.version", env!("CARGO_PKG_VERSION").to_owned()),
        ] {
            file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        file.into_inner()
    }
}

impl Encoder for Table {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        let mut refused = Vec::new();
        for (index, event) in events.clone().zip(events.filter_map(|index| batch.event(index))) {
            let Self { schema, builder, group, file, failure, .. } = self;
            let built = builder.rows(event, |row| {
                group.push(row);
                if group.is_full() && failure.is_none() {
                    *failure = Self::write_group(*schema, group, file).err().map(|e| e.to_string());
                }
            });
            match built {
                Ok(()) => {
                    self.first
                        .get_or_insert_with(|| (batch.observed_ns, event.record_id().to_string()));
                    self.input_bytes += event.bytes.len();
                }
                Err(reason) => refused.push(Refused { event: index, reason }),
            }
        }
        refused
    }

    fn len(&self) -> usize {
        let file_bytes = self.file.as_ref().map_or(0, SerializedFileWriter::bytes_written);
        self.input_bytes.max(file_bytes * FILE_BYTES_WEIGHT)
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn finish(mut self: Box<Self>, range: LogRange, body: &mut Body) -> Result<(), String> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        body.bytes = self.complete(range).map_err(|error| error.to_string())?;
        let day =
            name::day_folder(name::day_of(self.first.map_or(0, |(observed_ns, _)| observed_ns)));
        body.file_name = format!("{}/{day}/{}", self.tier, name::file(range, Format::Parquet));
        Ok(())
    }
}
