//! How the system's allocator is set up: one arena for all threads.
//!
//! # Why
//! glibc gives each thread an arena of its own, and an arena keeps the room that its thread once
//! needed. Files of the local store are gathered by whichever thread is free, a few MiB each: after
//! two million lines that took 76 MB of anonymous memory, with one arena 28 MB (`tests/daemon/
//! memory.rs`). The threads seldom allocate at once, so that nothing is lost by it. A value in the
//! environment (`MALLOC_ARENA_MAX`) still decides.

/// Call it while there is one thread.
pub(super) fn use_one_arena() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        #[expect(unsafe_code, reason = "the C library has no safe call for it; 48 MB, measured")]
        // SAFETY: `mallopt` takes two integers and has no other contract; unknown parameters are
        // refused by its return value, after which all is as before.
        let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}
