//! All series that are derived, of all sources together: what pipelines observed adds up here, and
//! is told from time to time.
//!
//! Owns how many series there may be and for how long, and how far each stream was counted, so that
//! what is read again is not counted again. Neither reads events nor writes OTLP.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::histogram::Histogram;
use super::rule::Shape;

/// The labels of a series, in the order of its group's; empty ones are none.
pub type Labels = Box<[Box<str>]>;

/// Exemplars that a series keeps for the next time that it is told.
pub const EXEMPLARS_MAX: usize = 4;

/// One value that was observed, and of whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplar {
    /// The value.
    pub value: f64,
    /// When, in nanoseconds since 1970.
    pub ts_ns: i64,
    /// The trace's id, where there is one.
    pub trace_id: Option<[u8; 16]>,
    /// The request's, or empty.
    pub request_id: Box<str>,
}

/// What a series is now, or what was observed of it since the last time.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A sum.
    Counter(f64),
    /// The last value, if there was one.
    Gauge(Option<f64>),
    /// A distribution, and some of its values.
    Histogram(Box<Histogram>, Vec<Exemplar>),
}

impl Value {
    /// Nothing yet.
    #[must_use]
    pub fn of(shape: Shape) -> Self {
        match shape {
            Shape::Counter => Self::Counter(0.0),
            Shape::Gauge => Self::Gauge(None),
            Shape::Histogram => Self::Histogram(Box::default(), Vec::new()),
        }
    }

    /// Adds what was observed since the last time, and takes it out of `more`.
    fn take(&mut self, more: &mut Self) {
        match (self, more) {
            (Self::Counter(sum), Self::Counter(more)) => *sum += std::mem::take(more),
            (Self::Gauge(last), Self::Gauge(more)) => *last = more.take().or(*last),
            (Self::Histogram(all, exemplars), Self::Histogram(more, new)) => {
                all.merge(more);
                more.clear();
                exemplars.append(new);
                let n_old = exemplars.len().saturating_sub(EXEMPLARS_MAX);
                exemplars.drain(..n_old);
            }
            _ => debug_assert!(false, "BUG: a series changed its shape"),
        }
    }

    /// Whether nothing was ever observed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Counter(sum) => *sum == 0.0,
            Self::Gauge(last) => last.is_none(),
            Self::Histogram(all, _) => all.count == 0,
        }
    }
}

/// The series of one set of labels, one of each rule of its group.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// In the order of the group's rules.
    pub values: Vec<Value>,
    /// When it began, and when it was last observed.
    pub since_ns: i64,
    /// See `since_ns`.
    pub seen_ns: i64,
}

/// Series that share their labels' names.
#[derive(Debug, Default)]
pub struct Group {
    /// By their labels.
    pub series: HashMap<Labels, Series>,
    /// Those that are not told any more, and have to be told so once.
    pub gone: Vec<(Labels, Series)>,
    /// All labels that came when there were as many as there may be.
    pub overflow: Option<Series>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct State {
    /// In the order of the plan's groups.
    pub groups: Vec<Group>,
    /// How far each stream was counted, by its key.
    pub counted_to: HashMap<u64, u64>,
    /// Events whose labels came into the overflow.
    pub n_overflowed: u64,
}

/// The shared state.
#[derive(Debug)]
pub struct Registry {
    state: Mutex<State>,
    /// Sets of labels that a group may have.
    series_max: usize,
    /// How long a series is told that nobody observes.
    idle_ns: i64,
}

impl Registry {
    /// Nothing observed yet, of so many groups.
    #[must_use]
    pub fn new(n_groups: usize, series_max: usize, idle_ns: i64) -> Self {
        let mut state = State::default();
        state.groups.resize_with(n_groups, Group::default);
        Self { state: Mutex::new(state), series_max, idle_ns }
    }

    /// All of it.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the stream `source_key` was counted.
    #[must_use]
    pub fn counted_to(&self, source_key: u64) -> u64 {
        self.lock().counted_to.get(&source_key).copied().unwrap_or(0)
    }

    /// Forgets series that nobody observed for long. They are told once more, as gone.
    pub fn expire(&self, now_ns: i64) {
        let oldest_ns = now_ns.saturating_sub(self.idle_ns);
        for group in &mut self.lock().groups {
            let gone = group.series.extract_if(|_, series| series.seen_ns < oldest_ns);
            group.gone.extend(gone);
        }
    }

    /// Adds what was observed of the series `labels` of group `group` in `n_events` events.
    pub(super) fn add(
        &self,
        state: &mut State,
        (group, labels): (usize, &Labels),
        values: &mut [Value],
        (now_ns, n_events): (i64, u64),
    ) {
        let Some(group) = state.groups.get_mut(group) else { return };
        let is_full = group.series.len() >= self.series_max;
        let series = match group.series.get_mut(labels) {
            Some(series) => series,
            None if is_full => {
                state.n_overflowed += n_events;
                group.overflow.get_or_insert_with(|| Series::new(values, now_ns))
            }
            None => {
                let new = Series::new(values, now_ns);
                group.series.entry(labels.clone()).or_insert(new)
            }
        };
        series.seen_ns = series.seen_ns.max(now_ns);
        series.values.iter_mut().zip(values).for_each(|(value, more)| value.take(more));
    }
}

impl Series {
    /// Nothing yet, of the shapes of `values`.
    fn new(values: &[Value], now_ns: i64) -> Self {
        let shape = |value: &Value| match value {
            Value::Counter(_) => Shape::Counter,
            Value::Gauge(_) => Shape::Gauge,
            Value::Histogram(..) => Shape::Histogram,
        };
        let values = values.iter().map(|value| Value::of(shape(value))).collect();
        Self { values, since_ns: now_ns, seen_ns: now_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        text.split(',').map(Into::into).collect()
    }

    fn add(registry: &Registry, text: &str, n: f64, now_ns: i64) {
        let mut values = [Value::Counter(n), Value::Gauge(Some(n))];
        registry.add(&mut registry.lock(), (0, &labels(text)), &mut values, (now_ns, 1));
        assert!(values[0].is_empty() && values[1].is_empty(), "taken");
    }

    #[test]
    fn series_add_up_and_overflow() {
        let registry = Registry::new(1, 2, 1000);
        for (text, n) in [("a,1", 1.0), ("b,1", 2.0), ("a,1", 3.0), ("c,1", 4.0), ("d,1", 5.0)] {
            add(&registry, text, n, 10);
        }
        let state = registry.lock();
        let group = &state.groups[0];
        let values = |text| group.series.get(&labels(text)).map(|series| series.values.clone());
        assert_eq!(values("a,1"), Some(vec![Value::Counter(4.0), Value::Gauge(Some(3.0))]));
        assert_eq!(values("c,1"), None);
        let overflow = group.overflow.as_ref().expect("too many");
        assert_eq!(overflow.values, [Value::Counter(9.0), Value::Gauge(Some(5.0))]);
        assert_eq!(state.n_overflowed, 2);
    }

    #[test]
    fn what_is_idle_goes_and_makes_room() {
        let registry = Registry::new(1, 2, 1000);
        add(&registry, "a", 1.0, 10);
        add(&registry, "b", 1.0, 900);
        registry.expire(1010);
        assert_eq!(registry.lock().groups[0].gone.len(), 0);
        registry.expire(1011);
        assert_eq!(registry.lock().groups[0].gone[0].0, labels("a"));
        add(&registry, "c", 1.0, 1011);
        assert_eq!(registry.lock().n_overflowed, 0);
    }
}
