//! What systemd is told, on a socket like its own: ready, alive, reading the config again, stopping
//! and how long that may take.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use super::files::config;
use super::loki::Loki;
use super::rig::Place;

/// The next message that has `word` in it; the others before it are passed over.
#[track_caller]
fn next_with(socket: &UnixDatagram, word: &str) -> String {
    let mut bytes = [0; 4096];
    for _ in 0..1000 {
        let n = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("never {word}: {error}"));
        let message = String::from_utf8_lossy(&bytes[..n]).into_owned();
        if message.contains(word) {
            return message;
        }
    }
    panic!("never {word}");
}

#[test]
fn systemd_is_told_of_every_step() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let path = place.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let args = ["run", "--config", "sidewake.yaml", "--no-watch-config", "--grace", "7s"];
    let mut daemon = place.run(&args, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    next_with(&socket, "READY=1");
    // Ready is what it says: the sources listen.
    assert_eq!(daemon.get("/readyz").0, 200);
    next_with(&socket, "WATCHDOG=1");
    next_with(&socket, "WATCHDOG=1");
    daemon.signal(Signal::HUP);
    let reloading = next_with(&socket, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    next_with(&socket, "READY=1");
    daemon.signal(Signal::TERM);
    let stopping = next_with(&socket, "STOPPING=1");
    // More than the grace period.
    let extended = stopping.lines().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
    let extended: u64 = extended.and_then(|n| n.parse().ok()).unwrap_or(0);
    assert!((8_000_000..20_000_000).contains(&extended), "{stopping}");
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());
}
