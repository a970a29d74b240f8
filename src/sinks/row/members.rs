//! The members of one line in a flat list: those of the outermost object, and behind each object
//! whose members may have a meaning, these. Remembers which of them found a column, so that what
//! did not goes to the attributes whole.

use std::borrow::Cow;

use super::alias::{Alias, Lookup};
use crate::sinks::json;

/// Levels below the outermost object that are looked into (`captureData.endpointInput.data`).
const DEPTH_MAX: usize = 3;

/// Members of OpenTelemetry's log lines that hold what the application said: what is in them means
/// what it would mean outside of them.
const OTEL_WRAPPERS: [&str; 2] = ["body", "attributes"];

/// Room for as many members stays for the next line.
const KEPT_MAX: usize = 1024;

/// One member.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: &'a str,
    pub(super) alias: Option<Alias>,
    pub(super) parent: Option<u32>,
    /// Its folded path, if it is an object that is looked into.
    below: Option<&'static str>,
    /// Where the members directly below stand that were looked into.
    children: (u32, u32),
    /// How many of these are in columns whole.
    n_covered: u32,
    pub(super) taken: bool,
}

/// All members of a line.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(pub(super) Vec<Member<'a>>);

impl Member<'_> {
    /// Whether all that it says is in columns.
    fn is_whole(&self) -> bool {
        let n_children = self.children.1 - self.children.0;
        self.taken || (n_children > 0 && self.n_covered == n_children)
    }
}

impl<'a> Members<'a> {
    /// None, in the room of the members of another line.
    #[expect(clippy::unnecessary_filter_map, reason = "a filter's members would be of that line")]
    pub(super) fn into_empty<'b>(mut self) -> Members<'b> {
        if self.0.capacity() > KEPT_MAX {
            return Members::default();
        }
        self.0.clear();
        // Nothing is left to be moved: the vector stays where it is.
        Members(self.0.into_iter().filter_map(|_| None).collect())
    }

    /// Reads `text`; `None` when it is not one JSON object.
    pub(super) fn read(&mut self, text: &'a str, lookup: &mut Lookup) -> Option<()> {
        self.add(text, "", None, 0, lookup).map(|_| ())
    }

    /// Adds the members of one object and of those in it; where its own stand.
    fn add(
        &mut self,
        object: &'a str,
        prefix: &str,
        parent: Option<u32>,
        depth: usize,
        lookup: &mut Lookup,
    ) -> Option<(u32, u32)> {
        let start = self.0.len();
        let read = json::members(object, lookup.heads(prefix), |key, value| {
            self.0.push(Member {
                key,
                value,
                alias: None,
                parent,
                below: None,
                children: (0, 0),
                n_covered: 0,
                taken: false,
            });
        });
        let Some(is_likely) = read else {
            self.0.truncate(start);
            return None;
        };
        let end = self.0.len();
        let slots = match is_likely {
            true => Cow::Borrowed(lookup.likely_slots(prefix)),
            false => lookup.slots(prefix, self.0[start..].iter().map(|member| &*member.key)),
        };
        for (member, slot) in self.0[start..].iter_mut().zip(slots.iter()) {
            member.alias = slot.alias;
            if !member.value.starts_with('{') {
                continue;
            }
            if slot.prefix.is_some() && depth < DEPTH_MAX {
                member.below = slot.prefix;
            } else if depth == 0 && OTEL_WRAPPERS.contains(&&*member.key) {
                member.below = Some("");
            }
        }
        for index in start..end {
            let (below, value) = (self.0[index].below, self.0[index].value);
            let Some(prefix) = below else { continue };
            if let Some(own) = self.add(value, prefix, Some(index as u32), depth + 1, lookup) {
                self.0[index].children = own;
            }
        }
        Some((start as u32, end as u32))
    }

    /// The members directly below that at `index`, if it was looked into.
    pub(super) fn children(&self, index: usize) -> &[Member<'a>] {
        let (start, end) = self.0[index].children;
        self.0.get(start as usize..end as usize).unwrap_or_default()
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
    pub(super) fn attributes(&mut self) -> Option<String> {
        for index in (0..self.0.len()).rev() {
            let member = &self.0[index];
            if let (true, Some(parent)) = (member.is_whole(), member.parent) {
                self.0[parent as usize].n_covered += 1;
            }
        }
        let left = self.0.iter().filter(|one| one.parent.is_none() && !one.is_whole());
        json::object_of(left.map(|member| (&*member.key, member.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_stays_unless_it_is_too_much() {
        let (mut members, mut lookup) = (Members::default(), Lookup::default());
        members.read(r#"{"a":1,"prediction":{"b":2}}"#, &mut lookup).expect("an object");
        assert_eq!(members.0.len(), 3);
        let room = members.0.capacity();
        let mut members = members.into_empty();
        assert_eq!((members.0.len(), members.0.capacity()), (0, room));
        members.0.reserve(KEPT_MAX + 1);
        assert_eq!(members.into_empty().0.capacity(), 0);
    }
}
