//! How many datagrams the kernel dropped since nobody read them in time.
//!
//! Source: proc(5), `/proc/net/udp`: a line for each socket, with its inode and, last, its drops.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::UdpSocket;

/// The drops of one socket.
#[derive(Debug)]
pub(super) struct KernelDrops {
    path: &'static str,
    inode: u64,
    last: u64,
}

impl KernelDrops {
    pub(super) fn of(socket: &UdpSocket) -> io::Result<Self> {
        let is_v6 = socket.local_addr()?.is_ipv6();
        let path = if is_v6 { "/proc/net/udp6" } else { "/proc/net/udp" };
        Ok(Self { path, inode: rustix::fs::fstat(socket)?.st_ino, last: 0 })
    }

    /// How many there were since this was called before; 0 where the kernel does not say.
    pub(super) fn since_last(&mut self) -> u64 {
        let Ok(table) = File::open(self.path) else { return 0 };
        let now = find(BufReader::new(table), self.inode).unwrap_or(self.last);
        // The kernel counts in 32 bits.
        let since = (now as u32).wrapping_sub(self.last as u32);
        self.last = now;
        u64::from(since)
    }
}

fn find(mut table: impl BufRead, inode: u64) -> Option<u64> {
    let mut line = String::new();
    loop {
        line.clear();
        if table.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut words = line.split_ascii_whitespace();
        let of = words.by_ref().nth(9).and_then(|word| word.parse().ok());
        if of == Some(inode) {
            return words.last()?.parse().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_its_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                     uid  timeout inode ref pointer drops\n\
                     11: 0100007F:1AAF 00000000:0000 07 00000000:00000000 00:00000000 00000000  \
                     1000        0 17 2 0000000000000000 4711\n\
                     12: 0100007F:1AB0 00000000:0000 07 00000000:00000000 00:00000000 00000000  \
                     1000        0 4711 2 0000000000000000 3\n";
        assert_eq!(find(table.as_bytes(), 4711), Some(3));
        assert_eq!(find(table.as_bytes(), 17), Some(4711));
        assert_eq!(find(table.as_bytes(), 3), None);
    }

    /// Nobody reads: the kernel drops, and says so.
    #[test]
    fn the_kernel_tells() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).expect("set");
        let mut drops = KernelDrops::of(&socket).expect("an inode");
        assert_eq!(drops.since_last(), 0);
        let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for _ in 0..100 {
            client.send_to(&[0; 1000], socket.local_addr().expect("bound")).expect("sent");
        }
        let n_dropped = drops.since_last();
        assert!(n_dropped > 50, "{n_dropped}");
        assert_eq!(drops.since_last(), 0, "no more since");
    }
}
