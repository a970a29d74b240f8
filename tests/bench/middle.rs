//! The middle alone: chunks of 512 KiB through the pipeline, nothing read, written or sent.

use std::sync::Arc;
use std::time::Duration;

use sidewake::event::chunk::{Chunk, Lines};
use sidewake::event::slab::Pool;
use sidewake::pipeline::{Pipeline, Plan};

use super::spent::thread_cpu_ns;

/// CPU nanoseconds per line, and lines, of the best of `rounds`.
pub(crate) fn run(data: &[u8], plan: &Arc<Plan>, rounds: usize) -> (f64, u64) {
    let mut best = f64::MAX;
    let mut n_lines = 0;
    for _ in 0..rounds {
        let pool = Pool::new(512 << 10, 4);
        let mut pipeline = Pipeline::new(Arc::clone(plan));
        let mut spent = 0;
        n_lines = 0;
        let mut at = 0;
        while at < data.len() {
            let room = (data.len() - at).min(512 << 10);
            let end = at + memchr::memrchr(b'\n', &data[at..at + room]).map_or(room, |n| n + 1);
            let mut slab = pool.take(Duration::from_secs(1)).expect("a slab");
            slab.extend_from_slice(&data[at..end]);
            let chunk = Chunk {
                slab,
                lines: Lines::Plain,
                origin: Arc::default(),
                source_key: 1,
                source_base: at as u64,
                source_end: end as u64,
                observed_ns: 1_795_464_000_000_000_000,
            };
            let start = thread_cpu_ns();
            let sealed = pipeline.process(chunk);
            spent += thread_cpu_ns() - start;
            n_lines +=
                sealed.iter().map(|s| s.batch.len() as u64 + s.sampled_out.total()).sum::<u64>();
            at = end;
        }
        best = best.min(spent as f64 / n_lines as f64);
    }
    (best, n_lines)
}
