//! How fast the machine is just now. Virtual CPUs share cores and slow down when others work, by
//! more than a factor of two within minutes: nanoseconds of two moments cannot be compared, cycles
//! can.

use std::hint::black_box;

use super::spent::thread_cpu_ns;

/// Steps of the measured chain: about 10 ms.
const STEPS: u64 = 5_000_000;

/// Cycles of one step: shift 1, xor 1, multiplication 3, each waiting for the one before. The same
/// on Intel since Nehalem, on AMD since Zen and on arm64 since Neoverse N1 (Agner Fog, instruction
/// tables; Arm, software optimization guides).
const CYCLES_PER_STEP: f64 = 5.0;

/// Cycles a nanosecond (GHz) that this thread gets: the best of three tries, as an interruption
/// only slows.
pub(crate) fn cycles_per_ns() -> f64 {
    (0..3).map(|_| once()).fold(0.0, f64::max)
}

fn once() -> f64 {
    let start = thread_cpu_ns();
    let mut x = black_box(1_u64);
    for _ in 0..STEPS {
        x = (x ^ (x >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    black_box(x);
    STEPS as f64 * CYCLES_PER_STEP / (thread_cpu_ns() - start) as f64
}
