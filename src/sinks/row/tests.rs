//! Whatever an object says is in a column or in the attributes of one of its rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::Row;
use super::alias::every_name;
use super::build::Builder;
use super::data_profile::every_profile_name;
use super::field::{Columns, Place, Value};
use super::schema::Schema;
use crate::event::batch::Batch;
use crate::event::record::{Kind, Record};
use crate::event::slab::Slab;
use crate::sinks::json;

const NOW_NS: i64 = 1_767_522_600_000_000_000;

/// All that the rows of one event say, by column.
#[derive(Debug, Default)]
struct Told {
    texts: Vec<String>,
    numbers: Vec<f64>,
    by_name: BTreeMap<(usize, &'static str), String>,
    n_rows: usize,
}

struct Telling<'t>(&'t mut Told, Schema);

impl Telling<'_> {
    fn note(&mut self, value: Value<'_>) -> String {
        match value {
            Value::Text(text) => {
                self.0.texts.push(text.to_owned());
                leaves(text, &mut self.0.texts);
                text.to_owned()
            }
            Value::Integer(number) => {
                self.0.numbers.push(number as f64);
                number.to_string()
            }
            Value::Double(number) => {
                self.0.numbers.push(number);
                number.to_string()
            }
            Value::Bool(is_so) => is_so.to_string(),
        }
    }
}

impl Columns for Telling<'_> {
    fn value(&mut self, place: Place, value: Value<'_>) {
        let (name, row) = (self.1.shapes()[place.field].0, self.0.n_rows);
        let told = self.note(value);
        self.0.by_name.insert((row, name), told);
    }

    fn element(&mut self, _: Place, _: usize, leaves: &[Option<Value<'_>>]) {
        for leaf in leaves.iter().flatten() {
            self.note(*leaf);
        }
    }
}

/// The scalars of JSON text, texts decoded.
fn leaves(text: &str, into: &mut Vec<String>) {
    if let Some(members) = json::object(text) {
        members.iter().for_each(|(_, value)| leaves(value, into));
    } else if let Some(elements) = json::array(text) {
        elements.iter().for_each(|value| leaves(value, into));
    } else if let Some(text) = json::text(text) {
        into.push(text.into_owned());
    }
}

fn told(schema: Schema, kind: Kind, line: &str) -> Told {
    let mut told = Told::default();
    each_row(schema, kind, line, |row| {
        schema.tell(row, &mut Telling(&mut told, schema));
        told.n_rows += 1;
    });
    told
}

fn each_row(schema: Schema, kind: Kind, line: &str, each: impl FnMut(&Row<'_>)) {
    let mut record = Record::new(0, line.len() as u32);
    record.kind = kind as u8;
    record.ts_ns = NOW_NS;
    let mut slab = Slab::default();
    slab.extend_from_slice(line.as_bytes());
    let batch = Batch { table: vec![record], slab, observed_ns: NOW_NS, ..Batch::default() };
    let mut builder = Builder::new(schema, std::sync::Arc::default());
    builder.rows(batch.event(0).expect("an event"), each).expect("rows");
}

const TABLES: [(Schema, Kind); 5] = [
    (Schema::Predictions, Kind::Prediction),
    (Schema::Predictions, Kind::Request),
    (Schema::ModelEvents, Kind::Model),
    (Schema::DataProfiles, Kind::Data),
    (Schema::SamplingWindows, Kind::Sampling),
];

/// The leaves of `line` that no row tells, whatever the unit in which they are told.
fn lost(schema: Schema, kind: Kind, line: &str) -> Vec<String> {
    let told = told(schema, kind, line);
    let mut all = Vec::new();
    leaves(line, &mut all);
    let is_lost = |leaf: &String| {
        let number: Option<f64> = leaf.parse().ok();
        let scales = [1.0, 1e-6, 1e-3, 1e3, 6e4, 3.6e6, 1e6];
        let same = |number: f64| {
            let near = |told: &f64, scaled: f64| (told - scaled).abs() <= scaled.abs() * 1e-12;
            told.numbers.iter().any(|told| {
                scales.iter().any(|scale| near(told, number * scale)) || near(told, number.exp())
            })
        };
        !told.texts.contains(leaf) && !number.is_some_and(same)
    };
    all.into_iter().filter(is_lost).collect()
}

#[derive(Clone, Debug)]
enum Tree {
    Text,
    Whole,
    Part,
    Word(&'static str),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// As JSON, every scalar another one.
    fn print(&self, n: &mut usize, out: &mut String) {
        *n += 1;
        let _ = match self {
            Self::Text => write!(out, "\"t\\u00fc\\n{n}\""),
            Self::Whole => write!(out, "{}", *n + 100_000),
            Self::Part => write!(out, "{}.25", *n + 200_000),
            Self::Word(word) => write!(out, "{word}"),
            Self::List(all) => {
                out.push('[');
                for (at, one) in all.iter().enumerate() {
                    out.push_str(if at > 0 { ", " } else { "" });
                    one.print(n, out);
                }
                write!(out, "]")
            }
            Self::Object(all) => {
                out.push('{');
                for (at, (key, one)) in all.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    let _ = write!(out, "{}:", serde_json::Value::from(key.as_str()));
                    one.print(n, out);
                }
                write!(out, "}}")
            }
        };
    }
}

/// What outputs and scores say of themselves, and what nobody knows.
const WORDS: &[&str] =
    &["label", "score", "class", "value", "probabilities", "scores", "name", "x", "", "ü\"", "x.y"];
/// Values that are not told from others of their kind.
const VALUES: &[&str] = &["true", "false", "null", "{}", "[]", "\"\"", "\"ok\"", "\"\\ud83d\""];

/// Names of outputs and features, of one item and of many.
const RIVALS: &[&str] = &[
    "prediction",
    "predictions",
    "outputs",
    "label",
    "class",
    "score",
    "confidence",
    "class_scores",
    "probabilities",
    "predicted_value",
    "instances",
    "features",
    "inputs",
    "feature_count",
];

fn key() -> impl Strategy<Value = String> {
    let mut names: Vec<String> =
        every_name().flat_map(|name| name.split('.')).map(str::to_owned).collect();
    let companions =
        ["load_ms", "load_time", "device", "bytes", "replica", "seen", "body", "attributes"];
    names.extend(companions.into_iter().chain(every_profile_name()).map(str::to_owned));
    prop_oneof![
        4 => prop::sample::select(names),
        3 => prop::sample::select(WORDS).prop_map(str::to_owned),
        1 => "\\PC{0,20}",
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        2 => Just(Tree::Text),
        2 => Just(Tree::Whole),
        2 => Just(Tree::Part),
        1 => prop::sample::select(VALUES).prop_map(Tree::Word),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let objects =
            prop::collection::vec((key(), inner.clone()), 0..5).prop_map(Tree::Object).boxed();
        prop_oneof![
            1 => prop::collection::vec(inner, 0..4).prop_map(Tree::List),
            1 => prop::collection::vec(objects.clone(), 0..4).prop_map(Tree::List),
            2 => objects,
        ]
    })
}

/// Members that fill columns which others would fill too.
fn rivals() -> impl Strategy<Value = Vec<(String, Tree)>> {
    let name = prop::sample::select(RIVALS).prop_map(str::to_owned);
    let leaf = prop_oneof![Just(Tree::Text), Just(Tree::Part), Just(Tree::Whole)];
    let said = (prop::sample::select(WORDS).prop_map(str::to_owned), leaf.clone());
    let output = prop::collection::vec(said, 0..4).prop_map(Tree::Object);
    let output = prop_oneof![leaf, output].boxed();
    let value = prop_oneof![
        1 => output.clone(),
        1 => prop::collection::vec(output, 0..4).prop_map(Tree::List),
    ];
    prop::collection::vec((name, value), 0..6)
}

proptest! {
    #[test]
    fn nothing_is_lost_to_a_rival(members in rivals()) {
        let mut line = String::new();
        Tree::Object(members).print(&mut 0, &mut line);
        for (schema, kind) in TABLES {
            let lost = lost(schema, kind, &line);
            prop_assert!(lost.is_empty(), "{:?} of {} in {}", lost, line, schema.as_str());
        }
    }

    #[test]
    fn nothing_is_lost(members in prop::collection::vec((key(), tree()), 0..6)) {
        let mut line = String::new();
        Tree::Object(members).print(&mut 0, &mut line);
        for (schema, kind) in TABLES {
            let lost = lost(schema, kind, &line);
            prop_assert!(lost.is_empty(), "{:?} of {} in {}", lost, line, schema.as_str());
        }
    }
}

/// Columns of a row are the item's before they are the batch's.
#[test]
fn what_a_batch_says_of_all_its_items_stays() {
    for line in [
        r#"{"predictions":[{"label":"a"},{"label":"b"}],"label":"both"}"#,
        r#"{"predictions":[{"value":1.5},2.5],"predicted_value":7.25}"#,
        r#"{"predictions":[{"score":0.5},{"score":0.25}],"confidence":0.125}"#,
        r#"{"predictions":[{"scores":{"a":1}}],"class_scores":{"b":0.125}}"#,
        r#"{"instances":[[1,2],[3,4]],"feature_count":17}"#,
    ] {
        let lost = lost(Schema::Predictions, Kind::Prediction, line);
        assert!(lost.is_empty(), "{lost:?} of {line}");
    }
}

#[test]
fn times_that_nobody_read_stay() {
    for (line, what) in [
        (
            r#"{"timestamp":"2026-01-04T10:30:00Z","time":"2026-01-04T23:00:00Z"}"#,
            "2026-01-04T23:00:00Z",
        ),
        (
            r#"{"time":"2026-01-04T10:30:00Z","timestamp":"2026-01-04T23:00:00Z"}"#,
            "2026-01-04T23:00:00Z",
        ),
        (r#"{"ts":1767522600.0,"timestamp":1767522600.9}"#, "1767522600.9"),
    ] {
        let told = told(Schema::Predictions, Kind::Prediction, line);
        assert!(told.texts.iter().any(|text| text == what), "{what} of {line}");
    }
}

/// Lists of classes say what the columns have, and may say more.
#[test]
fn what_is_said_beside_scores_stays() {
    for (scores, is_kept) in [
        (r#"[{"label":"a","score":0.5,"limit":0.9}]"#, true),
        (r#"[{"label":"a","score":0.5},{"label":"b","class":"c","score":0.25}]"#, true),
        (r#"[{"label":"a","score":0.5},{"prob":0.25,"class":"c"}]"#, false),
        (r#"{"a":0.5,"b":0.25}"#, false),
        ("[0.5,0.25]", false),
    ] {
        let line = format!(r#"{{"prediction":"a","class_scores":{scores}}}"#);
        let told = told(Schema::Predictions, Kind::Prediction, &line);
        assert!(told.numbers.contains(&0.5), "{scores}");
        assert_eq!(told.by_name.contains_key(&(0, "attributes")), is_kept, "{scores}");
    }
}

/// Each level was read again at every level above it, and each took room on the stack.
#[test]
fn scores_within_scores_end() {
    for (open, close) in [("[{\"scores\":", "}]"), ("[{\"label\":\"a\",\"proba\":", "}]")] {
        let deep = open.repeat(50_000) + "1" + &close.repeat(50_000);
        for name in ["class_scores", "prediction", "predictions"] {
            let mut n_rows = 0;
            let line = format!("{{\"{name}\":{deep}}}");
            each_row(Schema::Predictions, Kind::Prediction, &line, |_| n_rows += 1);
            assert_eq!(n_rows, 1);
        }
    }
}

#[test]
fn no_time_is_out_of_range_and_no_number_without_end() {
    for time in [
        "1e30",
        "-1e30",
        "1e19",
        "\"0000-01-01T00:00:00Z\"",
        "\"9999-12-31T23:59:59-23:00\"",
        "-9e13",
    ] {
        let line = format!(
            "{{\"window_start\":{time},\"window_end\":{time},\"load_ms\":1e308,\"load_s\":1}}"
        );
        for schema in [Schema::DataProfiles, Schema::SamplingWindows] {
            let told = told(schema, Kind::Data, &line);
            for name in ["event_ts", "window_start", "window_end"] {
                let micros: Option<i64> =
                    told.by_name.get(&(0, name)).and_then(|text| text.parse().ok());
                let may_be = |micros: i64| {
                    (-62_135_596_800_000_000..=253_402_300_799_999_999).contains(&micros)
                };
                assert!(micros.is_none_or(may_be), "{name} {time} {micros:?}");
            }
        }
    }
    for (key, value) in
        [("load_time_s", "1e308"), ("load_time", "\"1e308s\""), ("load_time", "\"1e306 h\"")]
    {
        let told = told(Schema::ModelEvents, Kind::Model, &format!("{{\"{key}\":{value}}}"));
        assert!(told.numbers.iter().all(|number| number.is_finite()), "{key} {value}");
    }
    let told = told(Schema::Predictions, Kind::Prediction, r#"{"latency_s":1e308,"logprob":1e10}"#);
    assert!(told.numbers.iter().all(|number| number.is_finite()), "{:?}", told.by_name);
}
