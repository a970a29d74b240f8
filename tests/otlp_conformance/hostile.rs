//! Clients that mean harm, or are broken: others are served meanwhile, and memory stays bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::rig::until;
use super::served::{JSON, MAX_REQUEST, PROTOBUF, Served, exchange, packed, request, spans};

/// Connections that together hold all memory for requests: each has sent all of its body but for
/// the end. No request of 100 KiB has room beside them. How many there are.
pub(crate) fn held_memory(served: &Served) -> (Vec<TcpStream>, usize) {
    let whole = request("POST", "/v1/traces", &[PROTOBUF], &[0; 64 << 10]);
    let mut held = Vec::new();
    // A quarter of 16 MiB is for requests.
    for _ in 0..100 {
        let mut stream = served.connect();
        stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
        // Those beyond the bound are not read, and told to come again.
        if stream.write_all(&whole[..whole.len() - 1]).is_ok() {
            held.push(stream);
        }
    }
    let n_held = held.len();
    (held, n_held)
}

/// Served within the time that a client waits, whatever else is open.
#[track_caller]
fn is_served(served: &Served) {
    let begun = Instant::now();
    let answer = served.post("/v1/traces", &[PROTOBUF], &spans(&["a".repeat(900_000).as_str()]));
    assert_eq!(answer.status, 200, "{}", answer.body.escape_ascii());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// Heads and bodies that come a byte at a time, or never: the server takes others, and in the end
/// hangs up.
#[test]
fn slow_clients() {
    let served = Served::start();
    let mut slow = Vec::new();
    for n in 0..200 {
        let mut stream = served.connect();
        let whole = request("POST", "/v1/traces", &[PROTOBUF], &vec![0; MAX_REQUEST]);
        let part = match n % 4 {
            // Silence, a part of a head, a head of HTTP/2, a head and a part of a body.
            0 => 0,
            1 => 30,
            2 => {
                stream.write_all(b"PRI * HTTP/2.0\r\n").expect("sent");
                0
            }
            _ => 1000,
        };
        stream.write_all(&whole[..part]).expect("sent");
        slow.push(stream);
    }
    is_served(&served);
    // Heads have ten seconds, bodies thirty.
    for (n, stream) in slow.iter_mut().enumerate() {
        let mut answer = Vec::new();
        // Reset or closed, with or without an answer: it ends.
        let ended = stream.read_to_end(&mut answer);
        let is_late = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!is_late, "connection {n} is still open");
    }
    is_served(&served);
}

/// More connections than are served at once: all have their turn.
#[test]
fn many_connections() {
    let served = Served::start();
    let mut streams: Vec<TcpStream> = (0..300).map(|_| served.connect()).collect();
    let whole = request("POST", "/v1/traces", &[PROTOBUF], &spans(&["a"]));
    for stream in &mut streams {
        stream.write_all(&whole).expect("sent");
    }
    for mut stream in streams {
        assert_eq!(exchange(&mut stream, b"").status, 200);
    }
    until("all spans", || served.fake.spans().len() == 300);
}

/// Bombs of three packings, many at a time: each is refused at the bound, and the memory that the
/// process ever had stays within what it may have.
#[test]
fn bombs() {
    let served = Served::start();
    is_served(&served);
    let n_bytes = 128 << 20;
    let bombs = ["gzip", "deflate", "zstd"].map(|by| (by, packed(&vec![b' '; n_bytes], by)));
    let mut streams = Vec::new();
    for (by, bomb) in bombs.iter().filter(|(_, bomb)| bomb.len() < MAX_REQUEST) {
        for form in [PROTOBUF, JSON] {
            for _ in 0..5 {
                let mut stream = served.connect();
                let headers = [form, ("content-encoding", by)];
                stream.write_all(&request("POST", "/v1/traces", &headers, bomb)).expect("sent");
                streams.push(stream);
            }
        }
    }
    assert!(streams.len() >= 20);
    for mut stream in streams {
        assert_eq!(exchange(&mut stream, b"").status, 413);
    }
    let status = format!("/proc/{}/status", served.daemon.child.id());
    let status = std::fs::read_to_string(status).expect("read");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kib: usize =
        peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok()).expect("a number");
    // Of code not optimised: 32 MiB may be in flight.
    assert!(peak_kib < 80 << 10, "{peak_kib} KiB");
    is_served(&served);
}
