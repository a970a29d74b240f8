//! A Loki that only counts: speaks enough HTTP/1.1 to take pushes, unpacks each body and counts its
//! entries. It runs in a process of its own, so that its cost is nobody's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was received so far.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) entries: AtomicU64,
    pub(crate) bodies: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// Listens on a free loopback port; serves until the process ends.
pub(crate) fn start() -> (u16, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let counts = Arc::new(Counts::default());
    let shared = Arc::clone(&counts);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counts = Arc::clone(&shared);
            std::thread::spawn(move || {
                let _ = serve(stream, &counts);
            });
        }
    });
    (port, counts)
}

fn serve(stream: TcpStream, counts: &Counts) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    let mut body = Vec::new();
    let mut line = String::new();
    loop {
        let mut length = 0;
        let mut n_lines = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            n_lines += 1;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        if n_lines == 0 {
            return Ok(());
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        let entries =
            snap::raw::Decoder::new().decompress_vec(&body).map_or(0, |raw| entries(&raw));
        counts.bytes.fetch_add(length as u64, Relaxed);
        counts.bodies.fetch_add(1, Relaxed);
        counts.entries.fetch_add(entries, Relaxed);
    }
}

/// Entries in a PushRequest: field 2 of each field 1.
fn entries(mut push: &[u8]) -> u64 {
    let mut n = 0;
    while let Some((1, mut stream)) = field(&mut push) {
        while let Some((number, _)) = field(&mut stream) {
            n += u64::from(number == 2);
        }
    }
    n
}

/// The next length-delimited field; other wire types do not occur here.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let tag = varint(bytes)?;
    let length = varint(bytes)? as usize;
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((tag >> 3, value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
