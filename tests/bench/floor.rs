//! The floor: what no log shipper of this kind can go below. Read the file, find the lines, write
//! each into a protobuf entry, compress, write to a socket that is read to its end. Nothing is
//! looked at, nothing is stored.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use super::spent::thread_cpu_ns;

/// CPU nanoseconds (this thread's, the reader on the other side not counted) to ship `path` once.
pub(crate) fn run(path: &Path) -> std::io::Result<u64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut socket = TcpStream::connect(listener.local_addr()?)?;
    let (mut peer, _) = listener.accept()?;
    let reader = std::thread::spawn(move || {
        let mut sink = vec![0; 256 << 10];
        while peer.read(&mut sink).is_ok_and(|n| n > 0) {}
    });
    let start = thread_cpu_ns();
    ship(path, &mut socket)?;
    let spent = thread_cpu_ns() - start;
    drop(socket);
    reader.join().expect("the reader only reads");
    Ok(spent)
}

fn ship(path: &Path, socket: &mut TcpStream) -> std::io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut slab = vec![0; 512 << 10];
    let mut kept = 0;
    let mut body = Vec::new();
    let mut packed = Vec::new();
    let mut packer = snap::raw::Encoder::new();
    loop {
        let n = file.read(&mut slab[kept..])?;
        if n == 0 {
            return Ok(());
        }
        let filled = kept + n;
        let whole = memchr::memrchr(b'\n', &slab[..filled]).map_or(0, |at| at + 1);
        // A line longer than the slab: a read into no room would look like the file's end.
        if whole == 0 && filled == slab.len() {
            slab.resize(2 * filled, 0);
        }
        body.clear();
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', &slab[..whole]) {
            let line = &slab[from..end];
            body.extend_from_slice(&[
                0x12, 0x80, 0x80, 0x01, 0x0a, 12, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ]);
            body.extend_from_slice(line);
            from = end + 1;
        }
        packed.resize(snap::raw::max_compress_len(body.len()), 0);
        let n = packer.compress(&body, &mut packed).map_err(std::io::Error::other)?;
        socket.write_all(&packed[..n])?;
        slab.copy_within(whole..filled, 0);
        kept = filled - whole;
    }
}
