//! The items of a request in their order, and requests of some of them only.

use super::edit::Edits;
use super::schema::Message;
use super::wire::{Field, Malformed, Reader, kind, tag};
use crate::event::signal::Signal;

/// Where an item stands: in a scope of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The `ResourceSpans` or its like.
    pub resource: Field,
    /// The `ScopeSpans` or its like in it.
    pub scope: Field,
    /// The item.
    pub item: Field,
}

const RESOURCES: u32 = tag(1, kind::BYTES);
const SCOPES: u32 = tag(2, kind::BYTES);
const ITEMS: u32 = tag(2, kind::BYTES);

/// Tells `each` every item. Looks at nothing inside of them.
///
/// # Errors
/// [`Malformed`] for what is no request.
pub fn items(bytes: &[u8], mut each: impl FnMut(Place)) -> Result<(), Malformed> {
    let mut resources = Reader::new(bytes, 0, bytes.len());
    while let Some(resource) = resources.read()? {
        if resource.tag != RESOURCES {
            continue;
        }
        let mut scopes = Reader::of(bytes, resource);
        while let Some(scope) = scopes.read()? {
            if scope.tag != SCOPES {
                continue;
            }
            let mut fields = Reader::of(bytes, scope);
            while let Some(item) = fields.read()? {
                if item.tag == ITEMS {
                    each(Place { resource, scope, item });
                }
            }
        }
    }
    Ok(())
}

/// Appends the request `bytes` without the items that are not `wanted`, which is asked with each
/// one's number and first byte. Scopes and resources of which no item stays go too.
///
/// # Errors
/// [`Malformed`] for what is no request.
pub fn only(
    bytes: &[u8],
    mut wanted: impl FnMut(usize, usize) -> bool,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let mut edits = Edits::default();
    let mut number = 0;
    let mut resources = Reader::new(bytes, 0, bytes.len());
    while let Some(resource) = resources.read()? {
        let (before_resource, mut n_in_resource) = (edits.len(), 0);
        let mut scopes = Reader::of(bytes, resource);
        while resource.tag == RESOURCES
            && let Some(scope) = scopes.read()?
        {
            if scope.tag != SCOPES {
                continue;
            }
            let (before_scope, mut n_in_scope) = (edits.len(), 0);
            let mut fields = Reader::of(bytes, scope);
            while let Some(item) = fields.read()? {
                if item.tag != ITEMS {
                    continue;
                }
                if wanted(number, item.start) {
                    n_in_scope += 1;
                } else {
                    edits.remove(item);
                }
                number += 1;
            }
            if n_in_scope == 0 {
                edits.forget_after(before_scope);
                edits.remove(scope);
            }
            n_in_resource += n_in_scope;
        }
        if n_in_resource == 0 {
            edits.forget_after(before_resource);
            edits.remove(resource);
        }
    }
    edits.apply(bytes, out)
}

/// The message that an item of `signal` is.
#[must_use]
pub fn item_message(signal: Signal) -> Message {
    match signal {
        Signal::Traces => Message::Span,
        Signal::Logs => Message::LogRecord,
        Signal::Metrics => Message::Metric,
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{push_bytes, push_message};
    use super::*;

    /// Resources of scopes of items, each item a text.
    fn request(resources: &[&[&[&str]]]) -> Vec<u8> {
        let mut out = Vec::new();
        for scopes in resources {
            push_message(&mut out, 1, |out| {
                push_message(out, 1, |out| push_bytes(out, 9, b"resource"));
                for items in *scopes {
                    push_message(out, 2, |out| {
                        push_message(out, 1, |out| push_bytes(out, 1, b"scope"));
                        for item in *items {
                            push_message(out, 2, |out| push_bytes(out, 5, item.as_bytes()));
                        }
                    });
                }
            });
        }
        out
    }

    #[test]
    fn some_items_and_what_they_share() {
        let all: &[&[&[&str]]] = &[&[&["a", "b"], &["c"]], &[&["d"]], &[&["e", "f"]]];
        let bytes = request(all);
        let mut n = 0;
        items(&bytes, |_| n += 1).expect("sound");
        assert_eq!(n, 6);
        for (wanted, left) in [
            (&[0, 1, 2, 3, 4, 5][..], all),
            (&[1, 2, 5], &[&[&["b"], &["c"]], &[&["f"]]]),
            (&[3], &[&[&["d"]]]),
            (&[], &[]),
        ] {
            let mut out = Vec::new();
            only(&bytes, |number, _| wanted.contains(&number), &mut out).expect("sound");
            assert_eq!(out, request(left), "{wanted:?}");
        }
    }
}
