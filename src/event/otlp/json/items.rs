//! Each item of a request as one JSON object: its own members, and what it shares with others under
//! `resource` and `scope`.

use std::ops::Range;

use super::super::schema::Message;
use super::super::subset::{item_message, items};
use super::super::wire::{Field, Reader, kind, tag};
use super::write::push_message_json;
use crate::event::batch::Batch;

const FIRST: u32 = tag(1, kind::BYTES);

/// Tells `each` the index and the object of those `events` of `batch` that are items.
pub fn item_objects(batch: &Batch, events: Range<usize>, mut each: impl FnMut(usize, &[u8])) {
    let bytes = &*batch.slab;
    let mut shared = (usize::MAX, Vec::new());
    let (mut index, mut object) = (0, Vec::new());
    // A frame that is no request was written by nobody; of it there is nothing to tell.
    let _ = items(bytes, |place| {
        if events.contains(&index) {
            if shared.0 != place.scope.at {
                shared.0 = place.scope.at;
                shared.1.clear();
                push_shared("resource", Message::Resource, bytes, place.resource, &mut shared.1);
                push_shared("scope", Message::Scope, bytes, place.scope, &mut shared.1);
            }
            object.clear();
            let item = (place.item.start, place.item.end);
            push_message_json(item_message(batch.signal), bytes, item, &mut object);
            object.pop();
            if object.last() == Some(&b'{') && !shared.1.is_empty() {
                object.extend_from_slice(&shared.1[1..]);
            } else {
                object.extend_from_slice(&shared.1);
            }
            object.push(b'}');
            each(index, &object);
        }
        index += 1;
    });
}

/// A comma and the member `name`, which is the first field of `of`; nothing where there is none.
fn push_shared(name: &str, message: Message, bytes: &[u8], of: Field, out: &mut Vec<u8>) {
    let mut fields = Reader::of(bytes, of);
    while let Ok(Some(field)) = fields.read() {
        if field.tag == FIRST {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            push_message_json(message, bytes, (field.start, field.end), out);
            return;
        }
    }
}
