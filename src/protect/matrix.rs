//! What `sidewake policy` prints: field × tier × action × retention, as a table and as JSON.
//!
//! Data and layout only; retentions come in as the words of the config.

use std::fmt;

use serde::Serialize;

use super::entity::Entity;
use super::policy::{Action, Features, Policy};

/// One tier's part of the matrix.
#[derive(Clone, Copy, Debug)]
pub struct Tier<'a> {
    /// The tier's name.
    pub name: &'a str,
    /// How long it is kept, as the config says it (`90 days`).
    pub retention: &'a str,
    /// What it does.
    pub policy: &'a Policy,
}

/// One cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// A declared pattern, `(secret-like keys)`, `(detected email)`, `(features)` or `(other
    /// fields)`.
    pub field: String,
    /// The tier's name.
    pub tier: String,
    /// What happens to it there.
    pub action: String,
    /// How long the result is kept there.
    pub retention: String,
}

/// The matrix, in the order fields, tiers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Matrix {
    /// All cells.
    pub rows: Vec<Row>,
}

impl Matrix {
    /// The matrix of `tiers`.
    #[must_use]
    pub fn new(tiers: &[Tier<'_>]) -> Self {
        let mut fields: Vec<&str> = Vec::new();
        for (pattern, _) in tiers.iter().flat_map(|tier| tier.policy.rules()) {
            if !fields.contains(&pattern) {
                fields.push(pattern);
            }
        }
        let mut matrix = Self::default();
        for field in fields {
            matrix.push(tiers, field, |policy| {
                let rule = policy.rules().find(|(pattern, _)| *pattern == field);
                rule.map_or_else(|| Action::Inspect.to_string(), |(_, action)| action.to_string())
            });
        }
        matrix.push(tiers, "(features)", |policy| match policy.features() {
            Features::All => "all".into(),
            Features::List(names) => format!("only: {}", names.join(", ")),
            Features::Sample(n) => format!("sample: {n}"),
        });
        matrix.push(tiers, "(secret-like keys)", |policy| on_detect(policy, Entity::Secret));
        for entity in Entity::DETECTABLE {
            let field = format!("(detected {})", entity.as_str());
            matrix.push(tiers, &field, |policy| on_detect(policy, entity));
        }
        matrix.push(tiers, "(other fields)", |policy| match policy.detect().is_empty() {
            true => "keep".into(),
            false => Action::Inspect.to_string(),
        });
        matrix
    }

    fn push(&mut self, tiers: &[Tier<'_>], field: &str, action: impl Fn(&Policy) -> String) {
        self.rows.extend(tiers.iter().map(|tier| Row {
            field: field.to_owned(),
            tier: tier.name.to_owned(),
            action: action(tier.policy),
            retention: tier.retention.to_owned(),
        }));
    }

    /// An array of objects with the members `field`, `tier`, `action`, `retention`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("BUG: rows of strings are JSON")
    }
}

fn on_detect(policy: &Policy, entity: Entity) -> String {
    match policy.on_detect(entity) {
        action if policy.detect().has(entity) => action.to_string(),
        Action::Keep => Action::Keep.to_string(),
        _ => "not looked for".into(),
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["FIELD", "TIER", "ACTION", "RETENTION"];
        let cells = |row: &'_ Row| {
            [row.field.clone(), row.tier.clone(), row.action.clone(), row.retention.clone()]
        };
        let mut widths = heads.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells(row)) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let [field, tier, action, _] = widths;
        let mut line = |cells: [&str; 4]| {
            let [a, b, c, d] = cells;
            writeln!(f, "{a:<field$}  {b:<tier$}  {c:<action$}  {d}")
        };
        line(heads)?;
        self.rows
            .iter()
            .try_for_each(|row| line([&row.field, &row.tier, &row.action, &row.retention]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protect::entity::EntitySet;
    use crate::protect::policy::PolicySpec;

    #[test]
    fn table_and_json() {
        let spec = |fields: &[(&str, Action)], features| PolicySpec {
            detect: EntitySet::NONE.with(Entity::Email),
            fields: fields.iter().map(|(p, a)| ((*p).to_owned(), *a)).collect(),
            features,
            ..PolicySpec::default()
        };
        let logs = spec(&[("password", Action::Drop)], Features::All);
        let predictions = spec(&[("user_*", Action::Hash)], Features::Sample(5));
        let logs = Policy::compile(&logs, true).expect("compiles");
        let predictions = Policy::compile(&predictions, true).expect("compiles");
        let matrix = Matrix::new(&[
            Tier { name: "logs", retention: "30 days", policy: &logs },
            Tier { name: "predictions", retention: "90 days", policy: &predictions },
        ]);
        let text = matrix.to_string();
        for line in [
            "FIELD                    TIER         ACTION          RETENTION",
            "password                 logs         drop            30 days",
            "password                 predictions  inspect         90 days",
            "user_*                   predictions  hash            90 days",
            "(features)               predictions  sample: 5       90 days",
            "(detected email)         logs         mask            30 days",
            "(detected iban)          logs         not looked for  30 days",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let json: serde_json::Value = serde_json::from_str(&matrix.to_json()).expect("JSON");
        assert_eq!(json[0]["action"], "drop");
        assert_eq!(json.as_array().map(Vec::len), Some(matrix.rows.len()));
    }
}
