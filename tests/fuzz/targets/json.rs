//! The JSON hot path: the walk against serde_json, the skeleton against the walk, and everything on
//! the portable path as on the native one.

use serde::de::IgnoredAny;
use sidewake::event::json::block::{Block, Native, Swar};
use sidewake::event::json::doc::{Doc, DocBuffers, Member, ValueKind};
use sidewake::event::json::shapes::{Classes, could_hold};
use sidewake::event::json::skeleton::{Found, Gate, Skeleton};
use sidewake::event::json::walk::{DEPTH_MAX, walk};

use super::oracle::Tree;

/// The walk takes what serde_json takes and Python's three words, and finds the same in it.
pub(crate) fn walk_against_serde_json(line: &[u8]) {
    let native = walked::<Native>(line);
    assert_eq!(native.is_some(), walked::<Swar>(line).is_some(), "the portable path disagrees");
    let theirs = serde_json::from_slice::<Tree>(line).ok();
    let theirs = theirs.filter(|tree| matches!(tree, Tree::Object(_)));
    let Some(found) = native else {
        let is_within = theirs.is_some_and(|tree| tree.depth() <= DEPTH_MAX);
        assert!(!is_within, "refused what serde_json takes");
        return;
    };
    let portable = walked::<Swar>(line).expect("as above");
    assert_eq!((&found.members, &found.paths), (&portable.members, &portable.paths));
    let doc = Doc { line, found: &found };
    check_spans(&doc);
    let has_words =
        [&b"NaN"[..], b"Infinity"].iter().any(|w| memchr::memmem::find(line, w).is_some());
    if !has_words {
        // Numbers beyond `f64` are legal; serde_json can only skip them.
        serde_json::from_slice::<IgnoredAny>(line).expect("laxer than serde_json");
    }
    if let Some(tree) = theirs {
        check_members(&doc, &tree);
    }
}

fn walked<B: Block>(line: &[u8]) -> Option<DocBuffers> {
    let mut found = DocBuffers::default();
    walk::<B>(line, 0, line.len(), &mut found).ok()?;
    Some(found)
}

/// Every span lies in the line, and each member's in its container's.
fn check_spans(doc: &Doc<'_>) {
    let mut open: Vec<&Member> = Vec::new();
    for member in doc.members() {
        let (start, end) = member.value;
        assert!(start < end && end as usize <= doc.line.len(), "{member:?}");
        assert!(member.key.1 as usize <= doc.line.len() && member.key.0 <= member.key.1);
        open.retain(|container| container.value.1 > start);
        assert_eq!(open.len() + 1, usize::from(member.depth), "{member:?}");
        assert!(open.iter().all(|container| end < container.value.1), "{member:?}");
        if matches!(member.kind, ValueKind::Object | ValueKind::Array) {
            open.push(member);
        }
    }
}

fn is_plain(byte: &u8) -> bool {
    matches!(byte, 0x20..=0x7f) && *byte != b'\\'
}

fn check_members(doc: &Doc<'_>, tree: &Tree) {
    let mut expected = Vec::new();
    tree.members("", 1, &mut expected);
    assert_eq!(doc.members().len(), expected.len());
    let has_plain_keys = !doc.line.contains(&b'\\');
    for (mine, theirs) in doc.members().iter().zip(&expected) {
        assert_eq!((mine.kind, mine.depth), (theirs.value.kind(), theirs.depth), "{}", theirs.path);
        let value: Tree = serde_json::from_slice(doc.value(mine)).expect("its token is JSON");
        assert_eq!(&value, theirs.value);
        if has_plain_keys {
            assert_eq!(doc.path(mine), theirs.path.as_bytes());
        }
        if !mine.escaped {
            assert!(doc.key(mine).iter().all(is_plain));
            assert!(mine.kind != ValueKind::String || doc.text(mine).iter().all(is_plain));
        }
    }
}

/// The first line teaches a skeleton; a following line that fits it has the very values that a walk
/// finds there, and what had to be searched is.
pub(crate) fn skeleton_against_walk(bytes: &[u8]) {
    let Some(teacher_end) = memchr::memchr(b'\n', bytes) else { return };
    let teacher = &bytes[..teacher_end];
    let Some(found) = walked::<Native>(teacher) else { return };
    let doc = Doc { line: teacher, found: &found };
    let learned = Skeleton::learn::<Native>(&doc, |_, member| gate(doc.path(member)));
    let Some((skeleton, value_of)) = learned else { return };
    let portable = Skeleton::learn::<Swar>(&doc, |_, member| gate(doc.path(member)));
    assert_eq!(portable.expect("as native").1, value_of);
    let is_value = |value: &&u16| **value != u16::MAX;
    assert_eq!(value_of.iter().filter(is_value).count(), skeleton.n_values());

    let has_fitted = check_fit(&skeleton, bytes, 0);
    // A string that is not plain is decoded where the line is walked.
    let mut values = doc.members().iter().zip(&value_of).filter(|(_, value)| is_value(value));
    let is_special = values.any(|(member, _)| {
        member.kind == ValueKind::String && !doc.text(member).iter().all(is_plain)
    });
    assert_ne!(has_fitted, is_special, "it does not fit itself");
    for newline in memchr::memchr_iter(b'\n', bytes) {
        check_fit(&skeleton, bytes, newline + 1);
    }
}

/// Compares the line at `start`, on both paths, with a walk of it. Returns whether it fitted.
fn check_fit(skeleton: &Skeleton, bytes: &[u8], start: usize) -> bool {
    // The content ends with a newline; what follows is another chunk's.
    let limit = memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1);
    if start >= limit {
        return false;
    }
    let (mut found, mut portable) = (Found::default(), Found::default());
    let end = skeleton.fit::<Native>(bytes, start, limit, &mut found);
    assert_eq!(end, skeleton.fit::<Swar>(bytes, start, limit, &mut portable));
    let Some(end) = end else { return false };
    assert_eq!((&found.values, &found.suspects), (&portable.values, &portable.suspects));
    assert_eq!(
        (&found.nested.members, &found.nested.paths, &found.containers),
        (&portable.nested.members, &portable.nested.paths, &portable.containers)
    );

    let line_end = memchr::memchr(b'\n', &bytes[start..]).map(|len| start + len);
    assert_eq!(Some(end), line_end, "it ends elsewhere");
    let line = &bytes[start..end];
    let walked = walked::<Native>(line).expect("what fits is JSON");
    let doc = Doc { line, found: &walked };
    let gate_of = |_: usize, member: &Member| gate(doc.path(member));
    let (_, value_of) = Skeleton::learn::<Native>(&doc, gate_of).expect("what fits is learnable");
    let with_value = doc.members().iter().zip(&value_of).filter(|(_, value)| **value != u16::MAX);
    let values: Vec<&Member> = with_value.map(|(member, _)| member).collect();
    let spans: Vec<_> = values.iter().map(|member| member.value).collect();
    assert_eq!(found.values, spans, "other values than the walk's");
    for (index, member) in values.into_iter().enumerate() {
        check_suspect(&doc, member, found.suspects.contains(&(index as u16)));
    }
    true
}

fn check_suspect(doc: &Doc<'_>, member: &Member, is_suspect: bool) {
    let text = doc.text(member);
    match (gate(doc.path(member)), member.kind) {
        (_, ValueKind::Array) => {}
        (Gate::Always, ValueKind::String | ValueKind::Number) => assert!(is_suspect, "{member:?}"),
        (Gate::Prefilter, ValueKind::String) => {
            assert!(!is_suspect || could_hold::<Native>(text, 0, text.len()), "{member:?}");
        }
        _ => assert!(!is_suspect, "{member:?}"),
    }
}

/// A gate per path, so that teacher and line agree on it.
fn gate(path: &[u8]) -> Gate {
    match path.iter().fold(path.len(), |sum, byte| sum + usize::from(*byte)) % 5 {
        0 => Gate::Literal,
        1 => Gate::Pass,
        2 => Gate::Always,
        _ => Gate::Prefilter,
    }
}

/// The prefilter says the same on both paths, wherever the value lies and whatever follows it.
pub(crate) fn prefilter_on_both_paths(value: &[u8]) {
    let text: Vec<u8> = value.iter().map(|byte| byte & 0x7f).collect();
    let verdict = could_hold::<Native>(&text, 0, text.len());
    assert_eq!(verdict, could_hold::<Swar>(&text, 0, text.len()));
    let classes = Classes::of::<Native>(&text, 0, text.len());
    assert_eq!(classes, Classes::of::<Swar>(&text, 0, text.len()));
    for before in [1usize, 15, 16, 33] {
        let shifted =
            [vec![b'x'; before].as_slice(), &text, b"\"trailing 4111111111111111"].concat();
        let end = before + text.len();
        assert_eq!(verdict, could_hold::<Native>(&shifted, before, end), "{before}");
        assert_eq!(classes, Classes::of::<Native>(&shifted, before, end), "{before}");
    }
}
