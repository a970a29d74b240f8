//! What the values of a prediction say: durations with their units, status words, the label, value
//! and confidence within an output, scores by class. Pure readings of JSON text; where a value does
//! not say it plainly the answer is `None`, never a guess.

use std::borrow::Cow;

use super::alias::Unit;
use super::{ClassScore, FeatureFlag};
use crate::sinks::json;

/// Milliseconds of a duration whose key told `unit`; else the value must tell
/// (`"357.8ms"`, `"1.2s"`).
pub(super) fn duration_ms(value: &str, unit: Option<Unit>) -> Option<f64> {
    let finite = |ms: f64| Some(ms).filter(|ms| ms.is_finite());
    if let Some(number) = json::number(value) {
        return finite(number * unit?.ms());
    }
    let text = json::string(value)?;
    let end = text.trim_end().rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.trim().parse().ok().filter(|number: &f64| number.is_finite())?;
    finite(number * Unit::parse(suffix.trim())?.ms())
}

/// `ok` and `error` for the words that mean them, every other word as it stands.
pub(super) fn status(word: Cow<'_, str>) -> Cow<'_, str> {
    let is_one = |of: &[&str]| of.iter().any(|one| word.eq_ignore_ascii_case(one));
    match () {
        () if is_one(&["ok", "success", "succeeded", "successful", "completed", "complete"]) => {
            "ok".into()
        }
        () if is_one(&["error", "failed", "failure", "fail", "exception"]) => "error".into(),
        () => word,
    }
}

/// Names of a label within an output.
const LABELS: [&str; 5] = ["label", "class", "predicted_label", "predicted_class", "class_name"];
/// Names of a confidence.
const SCORES: [&str; 4] = ["score", "confidence", "probability", "prob"];

/// Label, value and confidence that an output itself holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Output<'a> {
    pub(super) label: Option<Cow<'a, str>>,
    pub(super) value: Option<f64>,
    pub(super) confidence: Option<f64>,
    pub(super) scores: Vec<ClassScore<'a>>,
}

/// Reads an output: a scalar, `{label, score, …}`, or a list of one.
pub(super) fn output(prediction: &str) -> Output<'_> {
    match prediction.as_bytes().first() {
        Some(b'"') => Output { label: json::string(prediction), ..Output::default() },
        Some(b'-' | b'0'..=b'9') => Output { value: json::number(prediction), ..Output::default() },
        Some(b't' | b'f') => Output { label: Some(prediction.into()), ..Output::default() },
        Some(b'{') => output_of_object(prediction),
        Some(b'[') => match json::array(prediction).as_deref() {
            Some([one]) if !one.starts_with('[') => output(one),
            _ => Output::default(),
        },
        _ => Output::default(),
    }
}

fn output_of_object(prediction: &str) -> Output<'_> {
    let members = json::object(prediction).unwrap_or_default();
    output_of(members.iter().map(|(key, value)| (&**key, *value)))
}

/// Reads an output that is an object of these members.
pub(super) fn output_of<'a, 'k>(members: impl Iterator<Item = (&'k str, &'a str)>) -> Output<'a> {
    let mut found = Output::default();
    for (key, value) in members {
        match key {
            _ if LABELS.contains(&key) => {
                found.label = found.label.or_else(|| label(value));
            }
            "value" | "prediction" | "predicted_value" | "y" => {
                found.value = found.value.or_else(|| json::number(value));
            }
            _ if SCORES.contains(&key) => {
                found.confidence = found.confidence.or_else(|| json::number(value));
            }
            "probabilities" | "scores" | "class_scores" | "proba" => {
                found.scores = class_scores(value);
            }
            _ => {}
        }
    }
    found.confidence = found.confidence.or_else(|| largest(&found.scores));
    found
}

/// A label: a text, a number or a boolean as it stands.
pub(super) fn label(value: &str) -> Option<Cow<'_, str>> {
    matches!(value, "true" | "false").then_some(value.into()).or_else(|| json::text(value))
}

/// The best score.
pub(super) fn largest(scores: &[ClassScore<'_>]) -> Option<f64> {
    scores.iter().map(|class| class.score).reduce(f64::max)
}

/// Scores by class: a map of numbers, a list of numbers, or a list of `{label, score}`. Empty when
/// the value is none of them throughout. Scores within a class are not looked for: a line can nest
/// them deeper than any stack is.
pub(super) fn class_scores(value: &str) -> Vec<ClassScore<'_>> {
    let scores: Option<Vec<ClassScore<'_>>> = if value.starts_with('{') {
        let members = json::object(value).unwrap_or_default();
        members.into_iter().map(named_class).collect()
    } else {
        let elements = json::array(value).unwrap_or_default();
        elements.into_iter().enumerate().map(|(index, element)| class(index, element)).collect()
    };
    scores.unwrap_or_default()
}

fn named_class((label, score): json::Member<'_>) -> Option<ClassScore<'_>> {
    Some(ClassScore { label, score: json::number(score)? })
}

fn class(index: usize, element: &str) -> Option<ClassScore<'_>> {
    if !element.starts_with('{') {
        return Some(ClassScore { label: index.to_string().into(), score: json::number(element)? });
    }
    let (mut label, mut score) = (None, None);
    for (key, value) in json::object(element)? {
        match &*key {
            key if LABELS.contains(&key) => label = label.or_else(|| self::label(value)),
            key if SCORES.contains(&key) => score = score.or_else(|| json::number(value)),
            _ => {}
        }
    }
    Some(ClassScore { label: label?, score: score? })
}

/// Whether scores by class say nothing beside what [`class_scores`] reads.
pub(super) fn are_only_scores(value: &str) -> bool {
    let is_pair = |element: &&str| match json::object(element).as_deref() {
        Some([(one, _), (other, _)]) => {
            let is_so = |names: &[&str], key: &str| names.contains(&key);
            is_so(&LABELS, one) && is_so(&SCORES, other)
                || is_so(&SCORES, one) && is_so(&LABELS, other)
        }
        Some(_) => false,
        None => true,
    };
    json::array(value).is_none_or(|elements| elements.iter().all(is_pair))
}

/// Texts of a list, or the one text.
pub(super) fn texts(value: &str) -> Option<Vec<Cow<'_, str>>> {
    match json::array(value) {
        Some(elements) => elements.into_iter().map(json::string).collect(),
        None => Some(vec![json::string(value)?]),
    }
}

/// Flags as a map of scalars.
pub(super) fn feature_flags(value: &str) -> Option<Vec<FeatureFlag<'_>>> {
    let flag = |(key, variant)| Some(FeatureFlag { key, variant: label(variant)? });
    json::object(value)?.into_iter().map(flag).collect()
}

/// A boolean, as word or number.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Members or elements of a container; one for a text.
pub(super) fn count(features: &str) -> Option<i64> {
    let n = match features.as_bytes().first()? {
        b'{' | b'[' => json::count(features)?,
        _ => 1,
    };
    i64::try_from(n).ok()
}

/// Splits `name:version` and `name/versions/3`.
pub(super) fn split_model(name: &str) -> Option<(&str, &str)> {
    memchr::memchr2(b':', b'/', name.as_bytes())?;
    if name.contains("://") || name.matches(':').count() > 1 {
        return None;
    }
    let (name, version) = name.split_once("/versions/").or_else(|| name.rsplit_once(':'))?;
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let is_version = version.starts_with(char::is_alphanumeric) && version.chars().all(is_plain);
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    (is_name && is_version).then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (value, unit, expected) in [
            ("23", Some(Unit::Milliseconds), Some(23.0)),
            ("\"1.5\"", Some(Unit::Seconds), Some(1500.0)),
            ("23", None, None),
            ("\"357.5ms\"", None, Some(357.5)),
            ("\"49.5µs\"", None, Some(0.0495)),
            ("\"1.2 s\"", None, Some(1200.0)),
            ("\"fast\"", None, None),
            ("\"0:00:01.5\"", None, None),
            ("null", Some(Unit::Seconds), None),
            ("{}", Some(Unit::Seconds), None),
        ] {
            assert_eq!(duration_ms(value, unit), expected, "{value}");
        }
    }

    #[test]
    fn outputs() {
        let fraud = output(r#"{"label":"fraud","score":0.87}"#);
        assert_eq!((fraud.label.as_deref(), fraud.confidence), (Some("fraud"), Some(0.87)));
        assert_eq!(output("3.25").value, Some(3.25));
        assert_eq!(output("\"setosa\"").label.as_deref(), Some("setosa"));
        let listed = output(r#"[{"label":"POSITIVE","score":0.99}]"#);
        assert_eq!(listed.confidence, Some(0.99));
        let scored = output(r#"{"probabilities":{"a":0.25,"b":0.75}}"#);
        assert_eq!((scored.scores.len(), scored.confidence), (2, Some(0.75)));
        assert_eq!(output("[[1,2]]"), Output::default());
    }

    #[test]
    fn scores_and_names() {
        assert_eq!(class_scores("[0.1,0.9]")[1], ClassScore { label: "1".into(), score: 0.9 });
        assert!(class_scores(r#"{"a":0.1,"b":"x"}"#).is_empty());
        assert_eq!(split_model("iris:v1"), Some(("iris", "v1")));
        assert_eq!(split_model("models/m/versions/3"), Some(("models/m", "3")));
        for name in ["iris", "s3://x:80/m", ":v", "a:", "a: b", "ft:gpt:org", " :!", "a:-1"] {
            assert_eq!(split_model(name), None, "{name}");
        }
        assert_eq!(status("SUCCESS".into()), "ok");
        assert_eq!(status("timeout".into()), "timeout");
    }
}
