//! Which key means what: the alias table, and an allocation-free lookup in it.
//!
//! Keys are compared folded: ASCII case does not count, and `.`, `_`, `-` are not there at all, so
//! `request.id`, `requestId`, `x-request-id`'s cousins and the nested path `meta.puid` each need
//! one row. The order of a row's names is the order of preference. Deliberately knows nothing of
//! values: what a value must look like to count is said in [`super::classify`].
//!
//! # Why
//! The table is hashed at compile time. A lookup costs one pass over the key (about 15 ns) and
//! never builds the folded key, because it is also taken for lines that fit no skeleton.

mod table;

use super::roles::Role;
pub use table::ROWS;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// It may play a role.
    Role(Role),
    /// It speaks of data quality; two of them make a data line.
    Data,
    /// It speaks of a model being loaded.
    Load,
    /// A fingerprint of an envelope.
    Mark(Mark),
}

/// Keys that give away which tool wrote the line (ml.md 2.4, step 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// CloudEvents `specversion`.
    SpecVersion,
    /// CloudEvents `type`.
    CeType,
    /// CloudEvents `id`: a request id only if the type is an inference type.
    CeId,
    /// SageMaker `captureData`.
    CaptureData,
    /// SageMaker `captureData.endpointOutput`.
    CaptureOutput,
    /// SageMaker `eventMetadata`.
    EventMetadata,
    /// Open Inference Protocol `inputs[].datatype`.
    InputsDatatype,
    /// Open Inference Protocol `outputs[].datatype`.
    OutputsDatatype,
    /// BentoML `bento_meta`, on data rows.
    BentoMeta,
    /// BentoML `meta_data`, on schema rows.
    MetaData,
    /// BentoML `columns[].role`.
    ColumnsRole,
    /// Triton trace `timestamps[].ns`.
    TritonTimestamps,
    /// Triton trace `activity`.
    TritonActivity,
    /// Triton trace `parent_id`.
    TritonParent,
    /// Databricks inference table.
    Databricks,
    /// Vertex AI `deployed_model_id`.
    VertexModel,
    /// OpenInference `openinference.span.kind`.
    SpanKind,
    /// LiteLLM `call_type`.
    CallType,
    /// LiteLLM `response_cost`.
    ResponseCost,
    /// OpenAI `choices`.
    Choices,
    /// OpenAI `usage`, tokens spent.
    Usage,
    /// TensorFlow Serving and MLflow bodies: `instances`, `dataframe_split`, `dataframe_records`.
    Instances,
    /// TensorFlow Serving body: `predictions`.
    Predictions,
    /// `gen_ai.…` that describes an answer.
    GenAiOutput,
    /// OTel `severity_number`, whose scale is 1 to 24.
    SeverityNumber,
    /// An exception, traceback or stack: there only if it happened.
    Exception,
}

/// How much a key says on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Means this wherever it stands.
    Strong,
    /// A common word (`result`, `payload`, `component`): counts only beside stronger evidence.
    Weak,
}

/// One row of the table: names in order of preference.
#[derive(Debug)]
pub struct Row {
    /// What all of them mean.
    pub means: Means,
    /// How much that says.
    pub weight: Weight,
    /// The rank of the first name; the others follow. Lower wins within a role.
    pub rank: u8,
    /// The names, in any spelling that folds to the same.
    pub names: &'static [&'static str],
}

/// What one key was found to mean. A key may mean several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What it means.
    pub means: Means,
    /// How much that says.
    pub weight: Weight,
    /// Preference among the names of its role; lower wins.
    pub rank: u8,
    /// The name's number in the table, to count distinct names.
    pub name: u16,
}

/// Everything that `path` means.
pub fn lookup(path: &[u8]) -> impl Iterator<Item = Hit> + '_ {
    let mut at = slot_of(hash(path));
    std::iter::from_fn(move || {
        loop {
            let slot = TABLE[at];
            let row = ROWS.get(usize::from(slot.row))?;
            at = (at + 1) % SLOTS;
            let name = row.names[usize::from(slot.name)];
            if same_folded(name.as_bytes(), path) {
                return Some(Hit {
                    means: row.means,
                    weight: row.weight,
                    rank: row.rank + slot.name,
                    name: (u16::from(slot.row) << 8) | u16::from(slot.name),
                });
            }
        }
    })
}

/// Whether two keys are the same but for case, `.`, `_` and `-`.
#[must_use]
pub fn same_folded(left: &[u8], right: &[u8]) -> bool {
    let fold = |bytes: &[u8], at: &mut usize| {
        while let Some(&byte) = bytes.get(*at) {
            *at += 1;
            if !matches!(byte, b'.' | b'_' | b'-') {
                return Some(byte.to_ascii_lowercase());
            }
        }
        None
    };
    let (mut l, mut r) = (0, 0);
    loop {
        match (fold(left, &mut l), fold(right, &mut r)) {
            (None, None) => return true,
            (a, b) if a != b => return false,
            _ => {}
        }
    }
}

/// Power of two, more than twice the number of names.
const SLOTS: usize = 1024;

#[derive(Clone, Copy)]
struct Slot {
    row: u8,
    name: u8,
}

const EMPTY: Slot = Slot { row: u8::MAX, name: 0 };

static TABLE: [Slot; SLOTS] = build();

const fn build() -> [Slot; SLOTS] {
    let mut table = [EMPTY; SLOTS];
    let mut n_names = 0;
    let mut row = 0;
    while row < ROWS.len() {
        let mut name = 0;
        while name < ROWS[row].names.len() {
            let mut at = slot_of(hash(ROWS[row].names[name].as_bytes()));
            while table[at].row != EMPTY.row {
                at = (at + 1) % SLOTS;
            }
            table[at] = Slot { row: row as u8, name: name as u8 };
            n_names += 1;
            name += 1;
        }
        row += 1;
    }
    assert!(ROWS.len() < EMPTY.row as usize && n_names * 2 < SLOTS, "BUG: the table is too full");
    table
}

/// FNV-1a over the folded bytes.
const fn hash(path: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < path.len() {
        let byte = path[at];
        if byte != b'.' && byte != b'_' && byte != b'-' {
            hash = (hash ^ byte.to_ascii_lowercase() as u64).wrapping_mul(0x0100_0000_01b3);
        }
        at += 1;
    }
    hash
}

const fn slot_of(hash: u64) -> usize {
    // The high bits of FNV are the better mixed ones.
    ((hash >> 32) ^ hash) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(path: &str) -> Vec<Role> {
        lookup(path.as_bytes())
            .filter_map(|hit| match hit.means {
                Means::Role(role) => Some(role),
                _ => None,
            })
            .collect()
    }

    /// A name that the hash cannot find again would be a hole that no other test sees.
    #[test]
    fn every_name_is_found() {
        for row in ROWS {
            for (at, name) in row.names.iter().enumerate() {
                let upper = name.to_ascii_uppercase().replace('_', "-");
                for spelling in [*name, &upper] {
                    let found = lookup(spelling.as_bytes())
                        .any(|hit| hit.means == row.means && hit.rank == row.rank + at as u8);
                    assert!(found, "{spelling} of {:?}", row.means);
                }
            }
        }
    }

    /// A second spelling of a name in its own row would be dead.
    #[test]
    fn no_name_stands_twice_for_one_meaning() {
        for row in ROWS {
            for name in row.names {
                let n = lookup(name.as_bytes()).filter(|hit| hit.means == row.means).count();
                assert_eq!(n, 1, "{name} of {:?}", row.means);
            }
        }
    }

    #[test]
    fn spellings_fold() {
        for path in ["request_id", "requestId", "Request-ID", "request.id", "REQUEST_ID"] {
            assert_eq!(roles(path), [Role::RequestId], "{path}");
        }
        assert_eq!(roles("meta.puid"), [Role::RequestId]);
        assert_eq!(roles("prediction.score"), [Role::Confidence]);
        assert_eq!(roles("logging.googleapis.com/trace"), [Role::TraceId]);
        assert!(roles("amount").is_empty() && roles("").is_empty() && roles("...").is_empty());
    }

    /// Order is priority.
    #[test]
    fn earlier_names_rank_before_later_ones() {
        let rank = |name: &str| {
            lookup(name.as_bytes())
                .find(|hit| hit.means == Means::Role(Role::RequestId))
                .map(|hit| hit.rank)
                .expect("a request id")
        };
        assert!(rank("request_id") < rank("inference_id"));
        assert!(rank("inference_id") < rank("correlation_id"));
    }
}
