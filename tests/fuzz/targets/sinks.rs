//! What sinks read of an event again: its JSON, cut into members, and the rows that it becomes.

use std::collections::BTreeSet;

use sidewake::event::batch::Batch;
use sidewake::event::record::{Flags, Kind, Record};
use sidewake::event::slab::Slab;
use sidewake::sinks::json;
use sidewake::sinks::row::build::Builder;
use sidewake::sinks::row::schema::Schema;

use super::raw;

/// Members and elements are those that serde_json finds.
pub(crate) fn json_spans(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mine = json::object(text);
    let mine = mine.map(|all| all.into_iter().map(|(key, value)| (key.into_owned(), value)));
    let (mine, theirs) = (mine.map(|all| all.collect::<Vec<_>>()), raw::object(text));
    assert_eq!(mine, theirs);
    let elements = json::array(text);
    assert_eq!(elements, raw::array(text));
    assert_eq!(json::is_object(text), raw::is_object(text));
    let n = theirs.map(|all| all.len()).or(elements.map(|all| all.len()));
    assert!(n.is_none() || json::count(text.trim()) == n);
}

/// Any line is a row of every table, or several that are known by different ids; none of them tells
/// of redactions without end, and what it holds as JSON is JSON.
pub(crate) fn rows(bytes: &[u8]) {
    for (schema, kind) in
        Schema::ALL.into_iter().zip([Kind::Prediction, Kind::Model, Kind::Data, Kind::Sampling])
    {
        let mut record = Record::new(0, bytes.len() as u32);
        record.kind = kind as u8;
        record.flags |= Flags::REDACTED;
        let mut slab = Slab::default();
        slab.extend_from_slice(bytes);
        let batch = Batch { table: vec![record], slab, ..Batch::default() };
        let event = batch.event(0).expect("an event");
        let (mut ids, mut n_rows) = (BTreeSet::new(), 0);
        let taken = Builder::new(schema, Default::default()).rows(event, |row| {
            n_rows += 1;
            ids.insert(row.record_id.to_string());
            assert!((1..=65).contains(&row.redactions.len()));
            let mut paths = row.redactions.iter().filter_map(|one| one.path.as_deref());
            assert!(paths.all(|path| path.len() <= 256));
            let mut objects = row.attributes.iter().chain(&row.features).chain(&row.prediction);
            assert!(objects.all(|json| json::array(&format!("[{}]", json.0)).is_some()));
        });
        assert!(taken.is_ok() && n_rows == ids.len() && n_rows > 0);
    }
}
