//! What sampling saw and kept in one minute, as a typed row (`reference/ml.md` 2.1): who weighs
//! rows by it can check the weights, and nobody has to believe that nothing was lost in silence.
//!
//! Owns the columns. What is counted, and when it is told, is the daemon's.

use std::borrow::Cow;

use super::alias::Role;
use super::extras::{Extras, of};
use super::field::{Columns, Field, Place, Shape};
use super::{Json, MaybeText, Micros, Row, Text};

/// The roles that have a column here.
pub(super) const ROLES: [Role; 0] = [];

table! {
    /// One row of the table of sampling windows.
    SamplingWindow {
        /// Stable id of the row: the dedupe key.
        record_id: Text<'a>,
        /// When the window began.
        event_ts: Micros,
        /// When the row was told.
        ingest_ts: Micros,
        /// When the window began; later than the minute where the process was started in it.
        window_start: Option<Micros>,
        /// When it ended.
        window_end: Option<Micros>,
        /// `service.name`.
        service: MaybeText<'a>,
        /// `k8s.namespace.name`.
        namespace: MaybeText<'a>,
        /// `k8s.pod.name`.
        pod: MaybeText<'a>,
        /// The process that counted: each counts what it saw.
        replica: MaybeText<'a>,
        /// The tier.
        tier: MaybeText<'a>,
        /// The kind of the events, or `spans`.
        stratum: MaybeText<'a>,
        /// The sampling rule that decided.
        rule: MaybeText<'a>,
        /// Events that it decided about: `kept + sampled_out`.
        seen: Option<i64>,
        /// Events that it kept, which are in the spool or were delivered.
        kept: Option<i64>,
        /// Events that it did not keep.
        sampled_out: Option<i64>,
        /// The sink, where the row tells of what was kept and lost on the way there.
        sink: MaybeText<'a>,
        /// Events that were dropped: the spool was full, a disk was sick, the retention was over.
        dropped: Option<i64>,
        /// Events that went to the dead letters.
        dead_letters: Option<i64>,
        /// What went wrong on the way here, in stable words.
        logging_errors: Vec<Cow<'a, str>>,
        /// Every member that is in no other column.
        attributes: Option<Json<'a>>,
    }
}

const WINDOW_START: [&str; 1] = ["window_start"];

/// Calls `each` with `row` at the time at which its window began: before anybody asks whether a
/// table takes a row of that time.
pub(super) fn at_start(row: &Row<'_>, each: &mut impl FnMut(&Row<'_>)) {
    let start = Extras::read(row.attributes.as_ref()).time(&WINDOW_START);
    each(&Row { event_ts: start.unwrap_or(row.event_ts), ..row.clone() });
}

impl<'a> SamplingWindow<'a> {
    /// What `row` is in this table.
    pub(super) fn of(row: &'a Row<'_>) -> Self {
        let mut extras = Extras::read(row.attributes.as_ref());
        // What each of these lines says, and the columns say too.
        for same in ["event", "level", "timestamp"] {
            let _ = extras.text(&[same]);
        }
        Self {
            record_id: Cow::Borrowed(&row.record_id),
            event_ts: row.event_ts,
            ingest_ts: row.ingest_ts,
            window_start: extras.time(&WINDOW_START),
            window_end: extras.time(&["window_end"]),
            service: of(&row.service),
            namespace: of(&row.namespace),
            pod: of(&row.pod),
            replica: extras.text(&["replica"]),
            tier: extras.text(&["tier"]),
            stratum: extras.text(&["stratum"]),
            rule: extras.text(&["rule"]),
            seen: extras.integer(&["seen"]),
            kept: extras.integer(&["kept"]),
            sampled_out: extras.integer(&["sampled_out"]),
            sink: extras.text(&["sink"]),
            dropped: extras.integer(&["dropped"]),
            dead_letters: extras.integer(&["dead_letters"]),
            logging_errors: row.logging_errors.clone(),
            attributes: extras.rest(),
        }
    }
}
