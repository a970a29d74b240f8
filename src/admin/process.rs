//! What the kernel knows of this process, under the names that Prometheus clients share.
//!
//! Source: proc(5). Nothing is printed for what cannot be read.

use std::fs;

use super::exposition::{
    Exposition,
    MetricKind::{Counter, Gauge},
};

/// `process_*`, read now.
pub(super) fn write(out: &mut Exposition) {
    if let Some(seconds) = cpu_seconds() {
        out.family("process_cpu_seconds", Counter, "User and system CPU time spent.");
        out.sample(&[], seconds);
    }
    if let Some(bytes) = resident_bytes() {
        out.family("process_resident_memory_bytes", Gauge, "Resident memory.");
        out.sample(&[], bytes);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        out.family("process_open_fds", Gauge, "Open file descriptors.");
        // The listing's own descriptor is among them.
        out.sample(&[], entries.count().saturating_sub(1));
    }
}

/// Fields 14 and 15 of `stat`, in clock ticks, behind the command's closing parenthesis.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Field 2 of `statm`, in pages.
pub(super) fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_spent_time() {
        assert!(resident_bytes().expect("statm") > 100_000);
        assert!(cpu_seconds().expect("stat") >= 0.0);
    }
}
