//! A set of labels while it is changed: a list of pairs, of which a label without a value is no
//! part.

use std::borrow::Cow;

use super::sample::Pair;

/// The value of `name`; empty where there is no such label.
pub(super) fn get<'b>(labels: &'b [Pair<'_>], name: &str) -> &'b str {
    labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// Gives `name` the value; an empty one takes the label away.
pub(super) fn set<'a>(labels: &mut Vec<Pair<'a>>, name: Cow<'a, str>, value: Cow<'a, str>) {
    let at = labels.iter().position(|(known, _)| *known == name);
    match at {
        Some(at) if value.is_empty() => drop(labels.remove(at)),
        Some(at) => labels[at].1 = value,
        None if value.is_empty() => {}
        None => labels.push((name, value)),
    }
}

/// Adds a target's own labels. Where a sample has one of the same name, `honors` keeps the
/// sample's, else that one is called `exported_…`, as often as it takes.
pub(super) fn add<'a>(labels: &mut Vec<Pair<'a>>, own: &'a [(String, String)], honors: bool) {
    for (name, value) in own {
        let at = labels.iter().position(|(known, _)| known == name);
        match at {
            None => labels.push((name.as_str().into(), value.as_str().into())),
            Some(_) if honors => {}
            Some(at) => {
                let theirs = std::mem::replace(&mut labels[at].1, value.as_str().into());
                let mut renamed = format!("exported_{name}");
                while !get(labels, &renamed).is_empty() {
                    renamed.insert_str(0, "exported_");
                }
                set(labels, renamed.into(), theirs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Vec<Pair<'static>> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn a_label_without_a_value_is_none() {
        let mut labels = of(&[("a", "1"), ("b", "2")]);
        set(&mut labels, "b".into(), "".into());
        set(&mut labels, "c".into(), "".into());
        set(&mut labels, "a".into(), "3".into());
        assert_eq!(labels, of(&[("a", "3")]));
        assert_eq!((get(&labels, "a"), get(&labels, "b")), ("3", ""));
    }

    #[test]
    fn whose_label_stays() {
        let own = [("job".to_owned(), "ours".to_owned()), ("zone".to_owned(), "z".to_owned())];
        let theirs = of(&[("job", "theirs"), ("exported_job", "older")]);
        let mut labels = theirs.clone();
        add(&mut labels, &own, true);
        assert_eq!(labels, [theirs.clone(), of(&[("zone", "z")])].concat());
        let mut labels = theirs;
        add(&mut labels, &own, false);
        let expected = [
            ("job", "ours"),
            ("exported_job", "older"),
            ("exported_exported_job", "theirs"),
            ("zone", "z"),
        ];
        assert_eq!(labels, of(&expected));
    }
}
