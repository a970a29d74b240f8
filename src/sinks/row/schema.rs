//! The tables that there are: predictions, and their companions.
//!
//! Owns which table a tier's events go to, and what all who make columns need to know of one. The
//! columns of each stand beside its row type.
//!
//! # Why
//! A tier with one kind that has a table of its own gets that table; where kinds are mixed, events
//! are rows of the table of predictions, which has a place for all that any of them says. So nobody
//! has to name a schema, and what is in a table follows from the kinds that somebody sent there.

use super::alias::Role;
use super::data_profile::{self, DataProfile};
use super::field::{Columns, Shape};
use super::model_event::{self, ModelEvent};
use super::sampling_window::{self, SamplingWindow};
use super::{Row, data_profile::each_feature};
use crate::event::record::Kind;

/// A table's columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// One row per item of a request or prediction: [`Row`].
    #[default]
    Predictions,
    /// What models live through: [`ModelEvent`].
    ModelEvents,
    /// What data was found to be like, a row for each feature: [`DataProfile`].
    DataProfiles,
    /// What sampling saw and kept: [`SamplingWindow`].
    SamplingWindows,
}

impl Schema {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Predictions, Self::ModelEvents, Self::DataProfiles, Self::SamplingWindows];

    /// That of a tier with these kinds.
    #[must_use]
    pub fn of_kinds(kinds: &[Kind]) -> Self {
        match kinds {
            [Kind::Model] => Self::ModelEvents,
            [Kind::Data] => Self::DataProfiles,
            [Kind::Sampling] => Self::SamplingWindows,
            _ => Self::Predictions,
        }
    }

    /// The word for it, which is the table's usual name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Predictions => "predictions",
            Self::ModelEvents => "model_events",
            Self::DataProfiles => "data_profiles",
            Self::SamplingWindows => "sampling_windows",
        }
    }

    /// The columns in their order; the last one is `attributes`.
    #[must_use]
    pub fn shapes(self) -> &'static [(&'static str, Shape)] {
        match self {
            Self::Predictions => const { &Row::SHAPES },
            Self::ModelEvents => const { &ModelEvent::SHAPES },
            Self::DataProfiles => const { &DataProfile::SHAPES },
            Self::SamplingWindows => const { &SamplingWindow::SHAPES },
        }
    }

    /// What a catalogue says of the table.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Predictions => "Requests and predictions, one row per item, written by Sidewake.",
            Self::ModelEvents => "What models live through (loads, errors), written by Sidewake.",
            Self::DataProfiles => {
                "Checks and statistics of data, one row per feature, written by Sidewake."
            }
            Self::SamplingWindows => {
                "What sampling saw and kept, minute by minute, written by Sidewake."
            }
        }
    }

    /// What look-ups and dashboards filter by: at most four columns of plain types.
    #[must_use]
    pub fn clustering(self) -> &'static [&'static str] {
        match self {
            Self::Predictions => &["model_name", "request_id", "model_version"],
            Self::ModelEvents => &["model_name", "event"],
            Self::DataProfiles => &["model_name", "feature"],
            Self::SamplingWindows => &["tier", "stratum"],
        }
    }

    /// Whether a member with this role has a column: others stay with the attributes, as they are.
    pub(super) fn wants(self, role: Role) -> bool {
        match self {
            Self::Predictions => true,
            Self::ModelEvents => model_event::ROLES.contains(&role),
            Self::DataProfiles => data_profile::ROLES.contains(&role),
            Self::SamplingWindows => sampling_window::ROLES.contains(&role),
        }
    }

    /// Calls `each` with every row that `row` is in this table.
    pub(super) fn split(self, row: &Row<'_>, each: &mut impl FnMut(&Row<'_>)) {
        match self {
            Self::DataProfiles => each_feature(row, each),
            Self::SamplingWindows => sampling_window::at_start(row, each),
            _ => each(row),
        }
    }

    /// Tells what `row` is in this table, field by field.
    pub(in crate::sinks) fn tell(self, row: &Row<'_>, columns: &mut impl Columns) {
        match self {
            Self::Predictions => row.tell(columns),
            Self::ModelEvents => ModelEvent::of(row).tell(columns),
            Self::DataProfiles => DataProfile::of(row).tell(columns),
            Self::SamplingWindows => SamplingWindow::of(row).tell(columns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_can_be_partitioned_clustered_and_marked() {
        for schema in Schema::ALL {
            let names: Vec<&str> = schema.shapes().iter().map(|(name, _)| *name).collect();
            assert_eq!(names.last(), Some(&"attributes"));
            for needed in ["record_id", "event_ts", "ingest_ts", "logging_errors"] {
                assert!(names.contains(&needed), "{needed} of {}", schema.as_str());
            }
            assert!(schema.clustering().iter().all(|name| names.contains(name)));
            assert!(names.iter().all(|name| names.iter().filter(|one| *one == name).count() == 1));
        }
    }

    #[test]
    fn a_tier_of_one_kind_has_its_table() {
        for (kinds, schema) in [
            (&[Kind::Model][..], Schema::ModelEvents),
            (&[Kind::Data], Schema::DataProfiles),
            (&[Kind::Sampling], Schema::SamplingWindows),
            (&[Kind::Model, Kind::Data], Schema::Predictions),
            (&[Kind::Prediction], Schema::Predictions),
            (&[], Schema::Predictions),
        ] {
            assert_eq!(Schema::of_kinds(kinds), schema, "{kinds:?}");
        }
    }
}
