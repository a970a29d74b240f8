//! The members of one line in a flat list: those of the outermost object, and behind each object
//! whose members may have a meaning, these. Remembers which of them found a column, so that what
//! did not goes to the attributes whole.

use std::borrow::Cow;
use std::sync::Arc;

use super::alias::{Alias, Lookup};
use crate::sinks::json;

/// Levels below the outermost object that are looked into (`captureData.endpointInput.data`).
const DEPTH_MAX: usize = 3;

/// Members of OpenTelemetry's log lines that hold what the application said: what is in them means
/// what it would mean outside of them.
const OTEL_WRAPPERS: [&str; 2] = ["body", "attributes"];

/// One member.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: &'a str,
    pub(super) alias: Option<Alias>,
    pub(super) parent: Option<u32>,
    /// Members directly below that were looked into.
    n_children: u32,
    pub(super) taken: bool,
}

/// All members of a line.
#[derive(Debug)]
pub(super) struct Members<'a>(pub(super) Vec<Member<'a>>);

impl<'a> Members<'a> {
    /// Reads `text`; `None` when it is not one JSON object.
    pub(super) fn read(text: &'a str, lookup: &mut Lookup) -> Option<Self> {
        let mut members = Self(Vec::with_capacity(24));
        members.add(json::object(text)?, "", None, 0, lookup);
        Some(members)
    }

    fn add(
        &mut self,
        object: Vec<json::Member<'a>>,
        prefix: &str,
        parent: Option<u32>,
        depth: usize,
        lookup: &mut Lookup,
    ) {
        let mut below: Vec<(usize, Arc<str>)> = Vec::new();
        let slots = lookup.slots(prefix, &object);
        self.0.reserve(object.len());
        for ((key, value), slot) in object.into_iter().zip(slots.iter()) {
            if let Some(prefix) = &slot.prefix
                && value.starts_with('{')
                && depth < DEPTH_MAX
            {
                below.push((self.0.len(), Arc::clone(prefix)));
            } else if depth == 0 && OTEL_WRAPPERS.contains(&&*key) && value.starts_with('{') {
                below.push((self.0.len(), "".into()));
            }
            let alias = slot.alias;
            self.0.push(Member { key, value, alias, parent, n_children: 0, taken: false });
        }
        for (index, prefix) in below {
            let Some(object) = json::object(self.0[index].value) else { continue };
            self.0[index].n_children = object.len() as u32;
            self.add(object, &prefix, Some(index as u32), depth + 1, lookup);
        }
    }

    /// The member's path as it stood in the line.
    pub(super) fn path(&self, index: usize) -> Cow<'a, str> {
        let member = &self.0[index];
        match member.parent {
            Some(parent) => format!("{}.{}", self.path(parent as usize), member.key).into(),
            None => member.key.clone(),
        }
    }

    /// Every outermost member that is in no column, as a JSON object; `None` when all are.
    ///
    /// An object of which only some members found a column is kept whole.
    pub(super) fn attributes(&self) -> Option<String> {
        let mut out = Vec::with_capacity(128);
        let mut covered =
            vec![0; if self.0.iter().any(|m| m.n_children > 0) { self.0.len() } else { 0 }];
        for (index, member) in self.0.iter().enumerate().rev() {
            let children = covered.get(index).copied().unwrap_or_default();
            let whole = member.taken || (member.n_children > 0 && children == member.n_children);
            if let (true, Some(parent)) = (whole, member.parent) {
                covered[parent as usize] += 1;
            }
        }
        for (index, member) in self.0.iter().enumerate() {
            let children = covered.get(index).copied().unwrap_or_default();
            let whole = member.taken || (member.n_children > 0 && children == member.n_children);
            if whole || member.parent.is_some() {
                continue;
            }
            out.push(if out.is_empty() { b'{' } else { b',' });
            json::write_string(&mut out, &member.key);
            out.push(b':');
            out.extend_from_slice(member.value.as_bytes());
        }
        if out.is_empty() {
            return None;
        }
        out.push(b'}');
        String::from_utf8(out).ok()
    }
}
