//! What the keys of a line say, gathered in one pass: who could play which role, and how strong
//! the evidence is.
//!
//! Looks at paths, and at whether a value is a container, never at values: all of this is a
//! function of a line's shape, to which a scalar's kind does not belong.

use crate::event::json::doc::{Doc, Member, ValueKind};
use crate::pipeline::aliases::{self, Hit, Mark, Means, Weight};
use crate::pipeline::roles::{Role, Roles};

/// Members deeper than this play no role.
const MAX_DEPTH: u8 = 6;
/// Added to a name's rank per wrapper around it: an outer `request_id` wins over an inner one.
const WRAPPED: u16 = 256;
/// `predicted_…` comes after all other names of a prediction.
const PREDICTED_RANK: u8 = 127;
/// No candidate yet.
const NOBODY: (u16, u16) = (u16::MAX, u16::MAX);

/// What the keys say.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// For each role the two best candidates: member, and rank.
    best: [[(u16, u16); 2]; Role::COUNT],
    /// Roles for which a strong, or a weak, name was seen.
    strong: u32,
    weak: u32,
    marks: u32,
    /// Distinct names of data quality, by their place in the table's rows.
    data: u64,
    data_weak: u64,
    pub(super) n_load: u8,
    pub(super) n_load_weak: u8,
    pub(super) ce_type: Option<u16>,
    pub(super) ce_id: Option<u16>,
    pub(super) span_kind: Option<u16>,
    pub(super) activity: Option<u16>,
    severity_number: Option<u16>,
    /// Any `gen_ai.` key.
    pub(super) has_gen_ai: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            best: [[NOBODY; 2]; Role::COUNT],
            strong: 0,
            weak: 0,
            marks: 0,
            data: 0,
            data_weak: 0,
            n_load: 0,
            n_load_weak: 0,
            ce_type: None,
            ce_id: None,
            span_kind: None,
            activity: None,
            severity_number: None,
            has_gen_ai: false,
        }
    }
}

/// How a member's name was come by.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    /// Its whole path.
    Nothing,
    /// Behind a logger's envelope: `fields.`, `record.extra.`.
    Envelope(u16),
    /// Behind the content: `data.`, `response.`. Only what a model reads and says counts there.
    Content(u16),
}

impl Facts {
    /// Gathers what the keys of a walked line say.
    pub(super) fn gather(doc: &Doc<'_>) -> Self {
        let mut facts = Self::default();
        // Features are data, whatever they are called: nothing inside them plays a role.
        let mut features_end = 0;
        let mut prediction_end = 0;
        for (index, member) in doc.members().iter().enumerate() {
            let Ok(index) = u16::try_from(index) else { break };
            if member.depth > MAX_DEPTH
                || member.value.0 < features_end
                || member.key.0 == member.key.1
            {
                continue;
            }
            let path = doc.path(member);
            let mut is_features = false;
            let mut is_prediction = false;
            for hit in aliases::lookup(path) {
                facts.note(hit, index, member.kind, Inside::Nothing);
                let strong = hit.weight == Weight::Strong;
                is_features |= strong && hit.means == Means::Role(Role::Features);
                is_prediction |= hit.means == Means::Role(Role::Prediction);
            }
            facts.note_family(path, index, member.kind);
            if member.depth > 1 {
                facts.note_unwrapped(path, index, member);
                if member.value.0 >= prediction_end {
                    facts.note_data(doc.key(member));
                }
            }
            if is_features {
                features_end = member.value.1;
            }
            if is_prediction {
                prediction_end = prediction_end.max(member.value.1);
            }
        }
        facts
    }

    /// Notes a flat field of a line that is not JSON.
    pub(crate) fn note_field(&mut self, key: &[u8], index: u16, kind: ValueKind) {
        for hit in aliases::lookup(key) {
            self.note(hit, index, kind, Inside::Nothing);
        }
        self.note_family(key, index, kind);
    }

    /// Names that only begin alike: `gen_ai.…`, `predicted_price`.
    fn note_family(&mut self, path: &[u8], index: u16, kind: ValueKind) {
        self.has_gen_ai |= path.starts_with(b"gen_ai.") || path.starts_with(b"attributes.gen_ai.");
        if path.starts_with(b"predicted_") && !path.contains(&b'.') {
            let means = Means::Role(Role::Prediction);
            let hit = Hit { means, weight: Weight::Strong, rank: PREDICTED_RANK, name: 0 };
            self.note(hit, index, kind, Inside::Nothing);
        }
    }

    fn note_unwrapped(&mut self, path: &[u8], index: u16, member: &Member) {
        let (mut rest, mut penalty, mut content) = (path, 0, false);
        while let Some((inner, is_content)) = unwrap(rest) {
            rest = inner;
            penalty += WRAPPED;
            content |= is_content;
            let inside = if content { Inside::Content(penalty) } else { Inside::Envelope(penalty) };
            for hit in aliases::lookup(rest) {
                self.note(hit, index, member.kind, inside);
            }
        }
    }

    fn note_data(&mut self, key: &[u8]) {
        for hit in aliases::lookup(key).filter(|hit| hit.means == Means::Data) {
            self.count_data(hit);
        }
    }

    fn count_data(&mut self, hit: Hit) {
        let bit = 1 << (hit.name & 63);
        match hit.weight {
            Weight::Strong => self.data |= bit,
            Weight::Weak => self.data_weak |= bit,
        }
    }

    fn note(&mut self, hit: Hit, index: u16, kind: ValueKind, inside: Inside) {
        match hit.means {
            Means::Role(role) => self.note_role(role, hit, index, kind, inside),
            Means::Data if inside == Inside::Nothing => self.count_data(hit),
            Means::Data => {}
            Means::Load => match hit.weight {
                Weight::Strong => self.n_load = self.n_load.saturating_add(1),
                Weight::Weak => self.n_load_weak = self.n_load_weak.saturating_add(1),
            },
            Means::Mark(mark) => self.note_mark(mark, index, kind, inside),
        }
    }

    fn note_role(&mut self, role: Role, hit: Hit, index: u16, kind: ValueKind, inside: Inside) {
        let penalty = match inside {
            Inside::Nothing => 0,
            Inside::Envelope(penalty) => penalty,
            Inside::Content(penalty) if is_content(role) => penalty,
            Inside::Content(_) => return,
        };
        let is_container = is_container(kind);
        if is_container && !may_be_container(role) {
            return;
        }
        // `instances: 3` is a replica count: a telling name of features holds a container.
        let is_number_of = role == Role::Features && !is_container;
        match hit.weight {
            Weight::Strong if !is_number_of => self.strong |= bit(role),
            _ => self.weak |= bit(role),
        }
        let rank = penalty + u16::from(hit.rank);
        let [first, second] = &mut self.best[role as usize];
        if first.0 == index {
            first.1 = first.1.min(rank);
        } else if rank < first.1 {
            *second = *first;
            *first = (index, rank);
        } else if rank < second.1 {
            *second = (index, rank);
        }
    }

    fn note_mark(&mut self, mark: Mark, index: u16, kind: ValueKind, inside: Inside) {
        let top_only = matches!(
            mark,
            Mark::SpecVersion
                | Mark::CeType
                | Mark::CeId
                | Mark::TritonParent
                | Mark::TritonActivity
                | Mark::MetaData
        );
        if top_only && inside != Inside::Nothing {
            return;
        }
        self.marks |= 1 << mark as u32;
        match mark {
            Mark::CeType => self.ce_type = self.ce_type.or(Some(index)),
            // It becomes the request's id, which no container is.
            Mark::CeId if !is_container(kind) => self.ce_id = self.ce_id.or(Some(index)),
            Mark::SpanKind => self.span_kind = Some(index),
            Mark::TritonActivity => self.activity = Some(index),
            Mark::SeverityNumber => self.severity_number = Some(index),
            _ => {}
        }
    }

    /// Who plays which role, by the order of the names.
    pub(crate) fn roles(&self) -> Roles {
        let mut roles = Roles::default();
        for role in Role::ALL {
            let [(first, _), second] = self.best[role as usize];
            if first != NOBODY.0 {
                roles.set(role, first, (second != NOBODY).then_some(second.0));
            }
        }
        // A bare `version` may be the service's.
        if !self.is_strong(Role::ModelVersion) && !self.is_strong(Role::ModelName) {
            roles.clear(Role::ModelVersion);
        }
        roles
    }

    pub(super) fn has(&self, mark: Mark) -> bool {
        self.marks & 1 << mark as u32 != 0
    }

    /// A telling name was seen for the role.
    pub(crate) fn is_strong(&self, role: Role) -> bool {
        self.strong & bit(role) != 0
    }

    /// A common word was seen that may mean the role.
    pub(super) fn is_weak(&self, role: Role) -> bool {
        self.weak & bit(role) != 0
    }

    /// How many names of data quality there are: telling ones, and all.
    pub(super) fn n_data(&self) -> (u32, u32) {
        let strong = self.data.count_ones();
        (strong, strong + self.data_weak.count_ones())
    }

    pub(super) fn is_otel_severity(&self, member: u16) -> bool {
        self.severity_number == Some(member)
    }
}

fn bit(role: Role) -> u32 {
    1 << role as u32
}

fn is_container(kind: ValueKind) -> bool {
    matches!(kind, ValueKind::Object | ValueKind::Array)
}

/// Roles that the content of a request or response may hold.
fn is_content(role: Role) -> bool {
    !matches!(
        role,
        Role::Time
            | Role::Level
            | Role::Message
            | Role::EventName
            | Role::Logger
            | Role::Status
            | Role::Error
            | Role::Latency
    )
}

/// Roles that an object or array can play.
fn may_be_container(role: Role) -> bool {
    matches!(role, Role::Features | Role::Prediction | Role::Confidence | Role::Error)
}

/// Takes a known wrapper off a path; says whether it holds content.
fn unwrap(path: &[u8]) -> Option<(&[u8], bool)> {
    let dot = memchr::memchr(b'.', path)?;
    let (wrapper, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
    let is_content = match wrapper {
        b"fields" | b"attributes" | b"record" | b"jsonPayload" | b"log" | b"extra" | b"context"
        | b"ctx" | b"mdc" | b"metadata" | b"labels" | b"span" | b"dd" | b"kwargs" | b"info"
        | b"props" | b"properties" | b"event" | b"otel" | b"event_dict" | b"tags" | b"headers"
        | b"request_metadata" | b"message" => false,
        b"data" | b"body" | b"payload" | b"request" | b"response" | b"input" | b"output"
        | b"result" => true,
        _ => return None,
    };
    Some((rest, is_content))
}
