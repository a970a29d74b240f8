//! Whose metrics they are: `job`, `instance` and `target_info` of each resource in a body.
//!
//! Source: OpenTelemetry "Prometheus and OpenMetrics compatibility", resource attributes.
//!
//! # Why
//! A resource that does not say who it is gets the names of the source's origin (the config's
//! service, the pod): two pods whose series had the same labels would overwrite each other.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::index::Index;
use super::read::each;
use super::values::key_value;
use crate::event::origin::Origin;
use crate::event::otlp::wire::Field;

const NAMESPACE: &str = "service.namespace";
const NAME: &str = "service.name";
const INSTANCE: &str = "service.instance.id";

/// Those that make `job` and `instance`, and so are not told again.
pub(super) const IDENTIFYING: [&str; 3] = [NAMESPACE, NAME, INSTANCE];

/// One resource of one origin.
#[derive(Debug)]
pub(super) struct Resource {
    /// The message as it lay.
    wire: Vec<u8>,
    origin: Arc<Origin>,
    /// `job` and `instance`, names and values: 0 where nothing is known.
    pub(super) own: [(u32, u32); 2],
    /// The newest time of its points, and whether all that there is of it are stale markers.
    pub(super) newest: Option<(i64, bool)>,
    /// When it ended, if it went on in the same body: both are told.
    pub(super) ended_ms: Option<i64>,
}

/// All of a body.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) all: Vec<Resource>,
    index: Index,
}

impl Resources {
    /// The number of the resource that is `wire`; if it is new, `own` gives its labels.
    pub(super) fn find(
        &mut self,
        wire: &[u8],
        origin: &Arc<Origin>,
        own: impl FnOnce() -> [(u32, u32); 2],
    ) -> usize {
        let hash = xxh3_64(wire);
        let is_it = |place: u32| {
            let one = &self.all[place as usize];
            one.wire == wire && (Arc::ptr_eq(&one.origin, origin) || one.origin == *origin)
        };
        if let Some(found) = self.index.find(hash, is_it) {
            return found as usize;
        }
        let (wire, origin, own) = (wire.to_vec(), Arc::clone(origin), own());
        self.all.push(Resource { wire, origin, own, newest: None, ended_ms: None });
        self.index.insert(hash, self.all.len() as u32 - 1);
        self.all.len() - 1
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.index.clear();
    }
}

impl Resource {
    /// Notes the time of a point.
    #[inline]
    pub(super) fn note(&mut self, time_ms: i64, is_stale: bool) {
        self.newest = match self.newest {
            Some((newest_ms, _)) if time_ms < newest_ms => return,
            Some((newest_ms, was_stale)) if time_ms == newest_ms => {
                Some((newest_ms, was_stale && is_stale))
            }
            before => {
                if let Some((ended_ms, true)) = before.filter(|_| !is_stale) {
                    self.ended_ms = Some(ended_ms);
                }
                Some((time_ms, is_stale))
            }
        };
    }

    /// The message as it lay.
    pub(super) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Tells each attribute that is not identifying.
    pub(super) fn each_attribute(&self, mut each_one: impl FnMut(&[u8], Field)) {
        let whole = whole(&self.wire);
        each(&self.wire, whole, 1, |field| {
            let (key, _) = key_value(&self.wire, field);
            if !IDENTIFYING.iter().any(|name| name.as_bytes() == key) {
                each_one(&self.wire, field);
            }
        });
    }
}

/// Job and instance by a resource's attributes, else by the origin's.
pub(super) fn names(wire: &[u8], origin: &Origin) -> (Vec<u8>, Vec<u8>) {
    let [mut namespace, mut name, mut instance] = [const { Vec::new() }; 3];
    each(wire, whole(wire), 1, |field| {
        let (key, value) = key_value(wire, field);
        let out = match IDENTIFYING.iter().position(|name| name.as_bytes() == key) {
            Some(0) => &mut namespace,
            Some(1) => &mut name,
            Some(2) => &mut instance,
            _ => return,
        };
        out.clear();
        if let Some(value) = value {
            super::values::push_text(wire, value, out);
        }
    });
    let of_origin = |key: &str| origin.attribute(key).unwrap_or_default().as_bytes();
    if name.is_empty() {
        (namespace, name) = (of_origin(NAMESPACE).to_vec(), of_origin(NAME).to_vec());
    }
    if instance.is_empty() {
        let found = [INSTANCE, "k8s.pod.name", "host.name"].map(of_origin);
        let first = found.into_iter().find(|text| !text.is_empty());
        instance = first.unwrap_or_default().to_vec();
    }
    let job = match (namespace.is_empty(), name.is_empty()) {
        (_, true) => Vec::new(),
        (true, false) => name,
        (false, false) => [&namespace[..], b"/", &name].concat(),
    };
    (job, instance)
}

/// A message that is all of `wire`.
fn whole(wire: &[u8]) -> Field {
    Field { tag: 0, at: 0, start: 0, end: wire.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::{push_bytes, push_message};

    #[test]
    fn jobs_and_instances() {
        let attribute = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let origin = Origin {
            attributes: vec![attribute("k8s.pod.name", "pod-0"), attribute(NAME, "config")],
            ..Origin::default()
        };
        for (attributes, job, instance) in [
            (&[][..], "config", "pod-0"),
            (&[(NAME, "fraud")], "fraud", "pod-0"),
            (&[(NAMESPACE, "ml"), (NAME, "fraud"), (INSTANCE, "i1")], "ml/fraud", "i1"),
            (&[(NAMESPACE, "ml")], "config", "pod-0"),
        ] {
            let mut wire = Vec::new();
            for (key, value) in attributes {
                push_message(&mut wire, 1, |out| {
                    push_bytes(out, 1, key.as_bytes());
                    push_message(out, 2, |out| push_bytes(out, 1, value.as_bytes()));
                });
            }
            let found = names(&wire, &origin);
            assert_eq!(found, (job.as_bytes().to_vec(), instance.as_bytes().to_vec()));
        }
        assert_eq!(names(b"", &Origin::default()), (Vec::new(), Vec::new()));
    }
}
