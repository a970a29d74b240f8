//! The fake Loki on a runtime of its own, and questions about what it took.

use std::collections::HashMap;

use super::fake_loki::{FakeLoki, Stored};

/// A fake Loki that serves until it is dropped.
pub(crate) struct Loki {
    pub(crate) fake: FakeLoki,
    runtime: tokio::runtime::Runtime,
}

impl Loki {
    pub(crate) fn start() -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        let fake = runtime.block_on(FakeLoki::start());
        Self { fake, runtime }
    }

    /// The sink's section of a config, with short waits.
    pub(crate) fn sink(&self) -> String {
        format!(
            "{{ type: loki, endpoint: \"{}\", tenant: ml, concurrency: 1, batch: {{ max_age: 20ms }}, \
             retry: {{ initial: 20ms, max: 200ms }} }}",
            self.fake.url()
        )
    }

    /// Refuses connections and breaks those that are open.
    pub(crate) fn go_down(&self) {
        self.runtime.block_on(self.fake.go_down());
    }

    pub(crate) fn come_up(&self) {
        self.runtime.block_on(self.fake.come_up());
    }

    pub(crate) fn n_stored(&self) -> usize {
        self.fake.n_stored()
    }

    /// The lines as they came.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.fake.stored().into_iter().map(|entry| entry.line).collect()
    }

    /// Every line of `expected` once, in their order, and nothing else.
    #[track_caller]
    pub(crate) fn assert_exactly(&self, expected: &[String]) {
        let stored = self.fake.stored();
        let repeated: Vec<&Stored> = stored.iter().filter(|entry| entry.n_times > 1).collect();
        assert!(repeated.is_empty(), "came again: {repeated:?}");
        self.assert_in_order(expected);
    }

    /// The same, and what came again was the very same entry, which Loki recognises.
    #[track_caller]
    pub(crate) fn assert_in_order(&self, expected: &[String]) {
        let stored = self.fake.stored();
        let lines: Vec<&str> = stored.iter().map(|entry| entry.line.as_str()).collect();
        let first = lines.iter().zip(expected).position(|(line, wanted)| *line != wanted.as_str());
        if let Some(at) = first {
            panic!("line {at} is {:?}, expected {:?}", lines[at], expected[at]);
        }
        assert_eq!(lines.len(), expected.len());
    }

    /// How often each line came, over all streams.
    pub(crate) fn times(&self) -> HashMap<String, usize> {
        let mut times = HashMap::new();
        for entry in self.fake.stored() {
            *times.entry(entry.line).or_default() += entry.n_times;
        }
        times
    }
}
