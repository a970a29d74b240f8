//! The paused clock of a test.

use std::time::Duration;

/// Lets `time` pass on the paused clock, stopping at every timer on the way: with nothing to run
/// the runtime moves the clock by itself, so this takes no real time.
pub(crate) async fn pass(time: Duration) {
    assert!(
        tokio::time::timeout(time, std::future::pending::<()>()).await.is_err(),
        "only time ends this"
    );
}
