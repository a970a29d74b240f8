//! What sinks read of an event again: its JSON, cut into members.

use sidewake::sinks::json;

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
