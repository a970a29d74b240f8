//! A receiver of remote write 2.0 that only counts: samples and their values by the time of their
//! scrape. It runs in the parent, so that its cost is nobody's.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::decode;

/// What was received so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// How many samples of each time were exposed, and their values' bits added up.
    pub(crate) by_time: BTreeMap<u64, (usize, u64)>,
    pub(crate) n_samples: usize,
    pub(crate) n_bytes: usize,
    pub(crate) n_requests: usize,
    /// Requests that are none.
    pub(crate) n_strange: usize,
}

/// Serves until the process ends; where, and what came.
pub(crate) fn start() -> (u16, Arc<Mutex<Counts>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let counts = Arc::<Mutex<Counts>>::default();
    let shared = Arc::clone(&counts);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counts = Arc::clone(&shared);
            // An end of the connection is no error.
            std::thread::spawn(move || serve(&stream, &counts));
        }
    });
    (port, counts)
}

fn serve(mut stream: &TcpStream, counts: &Mutex<Counts>) -> Option<()> {
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    loop {
        let mut len = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length: ") {
                len = text.parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; len];
        reader.read_exact(&mut body).ok()?;
        let n_samples = count(&body, counts);
        let head = format!(
            "HTTP/1.1 204 No Content\r\n\
             x-prometheus-remote-write-samples-written: {n_samples}\r\n\
             x-prometheus-remote-write-histograms-written: 0\r\n\
             x-prometheus-remote-write-exemplars-written: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
    }
}

fn count(body: &[u8], counts: &Mutex<Counts>) -> usize {
    let raw = snap::raw::Decoder::new().decompress_vec(body).ok();
    let told = raw.and_then(|raw| decode::request(&raw));
    let mut counts = counts.lock().expect("unpoisoned");
    counts.n_requests += 1;
    counts.n_bytes += body.len();
    let Some(told) = told else {
        counts.n_strange += 1;
        return 0;
    };
    counts.n_samples += told.exposed.len();
    for (time_ms, bits) in &told.exposed {
        let (n, sum) = counts.by_time.entry(*time_ms).or_default();
        *n += 1;
        *sum = sum.wrapping_add(*bits);
    }
    told.exposed.len() + told.n_own
}
