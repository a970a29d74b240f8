//! The rows that wait for their row group: columns of spans over one arena, nulls as runs. Written
//! out and emptied at [`ARENA_BYTES`] or [`ROWS_MAX`], so that a file of any size is written in
//! the memory of one row group.
//!
//! # Why
//! The crate writes a row group column by column while rows come line by line, so one row group
//! must wait somewhere. Here it costs its texts once (a value equal to the one above it in its
//! column costs nothing: service, model and version of a pod hardly ever change), eight or twelve
//! bytes a value, and nothing for a column that stays null.

use bytes::Bytes;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};

use super::table::leaves;
use crate::sinks::row::Row;
use crate::sinks::row::field::{Columns, Leaf, Place, Value};
use crate::sinks::row::schema::Schema;

/// A row group closes at this many bytes of text.
pub(super) const ARENA_BYTES: usize = 640 << 10;
/// Room for the last row, so that the arena hardly ever grows beyond its first piece.
const ARENA_SLACK_BYTES: usize = 16 << 10;
/// A row group closes at this many rows.
pub(super) const ROWS_MAX: u32 = 8192;

/// Rows on their way into a row group.
#[derive(Debug)]
pub(super) struct Group {
    schema: Schema,
    arena: Vec<u8>,
    columns: Vec<Column>,
    n_rows: u32,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    texts: Vec<ByteArray>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

/// One leaf column.
#[derive(Debug)]
pub(super) struct Column {
    values: Values,
    /// Levels so far, empty for a required column. Rows that are not in it yet are null.
    runs: Vec<Run>,
    n_rows: u32,
    definition_max: i16,
    repetition_max: i16,
}

#[derive(Debug)]
enum Values {
    /// Spans of the arena, each with the number of values in a row that are this text.
    Text(Vec<Text>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
}

/// `count` times the same text.
#[derive(Clone, Copy, Debug)]
struct Text {
    off: u32,
    len: u32,
    count: u32,
}

/// `count` times the same pair of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    definition: i16,
    repetition: i16,
    count: u32,
}

impl Group {
    /// An empty group; holds nothing until a row comes.
    pub(super) fn new(schema: Schema) -> Self {
        let leaves = schema.shapes().iter().flat_map(|(_, shape)| leaves(*shape));
        let columns = leaves.map(|(leaf, definition_max, repetition_max)| Column {
            values: match leaf {
                Leaf::Text | Leaf::Json => Values::Text(Vec::new()),
                Leaf::Integer | Leaf::Micros => Values::Int64(Vec::new()),
                Leaf::Double => Values::Double(Vec::new()),
                Leaf::Bool => Values::Bool(Vec::new()),
            },
            runs: Vec::new(),
            n_rows: 0,
            definition_max,
            repetition_max,
        });
        let columns = columns.collect();
        Self { schema, arena: Vec::new(), columns, n_rows: 0, scratch: Scratch::default() }
    }

    /// Whether it is time to write.
    pub(super) fn is_full(&self) -> bool {
        self.n_rows >= ROWS_MAX || self.arena.len() >= ARENA_BYTES - ARENA_SLACK_BYTES
    }

    /// Adds one row.
    pub(super) fn push(&mut self, row: &Row<'_>) {
        // In one piece: growing by doubling would touch twice the memory.
        self.arena.reserve_exact(ARENA_BYTES.saturating_sub(self.arena.len()));
        self.schema.tell(row, self);
        self.n_rows += 1;
    }

    /// Writes the rows as one row group and empties the group, keeping its room.
    pub(super) fn write(&mut self, file: &mut SerializedFileWriter<Vec<u8>>) -> Result<()> {
        if self.n_rows == 0 {
            return Ok(());
        }
        let arena = Bytes::from(std::mem::take(&mut self.arena));
        let mut group = file.next_row_group()?;
        for column in &mut self.columns {
            column.pad(self.n_rows);
            let mut writer = group
                .next_column()?
                .ok_or_else(|| parquet::errors::ParquetError::EOF("columns".to_owned()))?;
            column.write(&arena, &mut writer, &mut self.scratch)?;
            writer.close()?;
            column.clear();
        }
        group.close()?;
        // Every value has let go of the arena, so its buffer comes back without a copy.
        self.arena = Vec::from(arena);
        self.arena.clear();
        self.n_rows = 0;
        Ok(())
    }
}

impl Column {
    /// Rows up to `n_rows` that said nothing are null (or empty lists).
    fn pad(&mut self, n_rows: u32) {
        if self.n_rows < n_rows && self.definition_max > 0 {
            self.run(0, 0, n_rows - self.n_rows);
        }
        self.n_rows = n_rows;
    }

    fn run(&mut self, definition: i16, repetition: i16, count: u32) {
        match self.runs.last_mut() {
            Some(run) if (run.definition, run.repetition) == (definition, repetition) => {
                run.count += count;
            }
            _ => self.runs.push(Run { definition, repetition, count }),
        }
    }

    fn clear(&mut self) {
        match &mut self.values {
            Values::Text(values) => values.clear(),
            Values::Int64(values) => values.clear(),
            Values::Double(values) => values.clear(),
            Values::Bool(values) => values.clear(),
        }
        self.runs.clear();
        self.n_rows = 0;
    }

    fn write(
        &self,
        arena: &Bytes,
        writer: &mut SerializedColumnWriter<'_>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        expand(&self.runs, |run| run.definition, &mut scratch.definitions);
        let definitions = (self.definition_max > 0).then_some(scratch.definitions.as_slice());
        let nested = self.repetition_max > 0;
        if nested {
            expand(&self.runs, |run| run.repetition, &mut scratch.repetitions);
        }
        let repetitions = nested.then_some(scratch.repetitions.as_slice());
        match (&self.values, writer.untyped()) {
            (Values::Text(spans), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                for text in spans {
                    let bytes = arena.slice(text.off as usize..(text.off + text.len) as usize);
                    let end = scratch.texts.len() + text.count as usize;
                    scratch.texts.resize(end, ByteArray::from(bytes));
                }
                let written = writer.write_batch(&scratch.texts, definitions, repetitions);
                scratch.texts.clear();
                written?;
            }
            (Values::Int64(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
            }
            (Values::Double(values), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
            }
            (Values::Bool(values), ColumnWriter::BoolColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
            }
            _ => unreachable!("BUG: the column's values are not of its schema's type"),
        }
        Ok(())
    }
}

fn expand(runs: &[Run], level: impl Fn(&Run) -> i16, out: &mut Vec<i16>) {
    out.clear();
    for run in runs {
        out.resize(out.len() + run.count as usize, level(run));
    }
}

impl Columns for Group {
    #[inline]
    fn value(&mut self, place: Place, value: Value<'_>) {
        let Self { arena, columns, n_rows, .. } = self;
        let column = &mut columns[place.leaf];
        if column.definition_max > 0 {
            column.pad(*n_rows);
            column.run(1, 0, 1);
            column.n_rows += 1;
        }
        column.store(value, arena);
    }

    fn element(&mut self, place: Place, n: usize, leaves: &[Option<Value<'_>>]) {
        let Self { arena, columns, n_rows, .. } = self;
        for (column, leaf) in columns[place.leaf..].iter_mut().zip(leaves) {
            if n == 0 {
                column.pad(*n_rows);
                column.n_rows += 1;
            }
            // A member that may be null has one level more than the list itself.
            let definition = if leaf.is_some() { column.definition_max } else { 1 };
            column.run(definition, i16::from(n > 0), 1);
            if let Some(value) = leaf {
                column.store(*value, arena);
            }
        }
    }
}

impl Column {
    #[inline]
    fn store(&mut self, value: Value<'_>, arena: &mut Vec<u8>) {
        match (&mut self.values, value) {
            (Values::Text(spans), Value::Text(text)) => store_text(text, arena, spans),
            (Values::Int64(values), Value::Integer(value)) => values.push(value),
            (Values::Double(values), Value::Double(value)) => values.push(value),
            (Values::Bool(values), Value::Bool(value)) => values.push(value),
            _ => unreachable!("BUG: a value in a column of another type"),
        }
    }
}

fn store_text(text: &str, arena: &mut Vec<u8>, spans: &mut Vec<Text>) {
    if let Some(last) = spans.last_mut()
        && arena.get(last.off as usize..(last.off + last.len) as usize) == Some(text.as_bytes())
    {
        last.count += 1;
        return;
    }
    spans.push(Text { off: arena.len() as u32, len: text.len() as u32, count: 1 });
    arena.extend_from_slice(text.as_bytes());
}
