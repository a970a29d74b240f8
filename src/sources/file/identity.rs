//! What makes a file the same file: device, inode, the inode's birth, the head of its content, and
//! the bytes before the position up to which it was read.
//!
//! # Why
//! Names move (rotation), inodes are used again, and logs of one program begin alike. Each sign
//! alone was another collector's data loss; together they fail only where all of them repeat. The
//! birth time stands for the inode's generation: it changes whenever an inode is used anew, and is
//! to be had without a descriptor. File systems that have none leave the other signs.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// An inode of a file system, as long as it holds the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileId {
    /// The file system.
    pub(super) dev: u64,
    /// The inode.
    pub(super) ino: u64,
    /// When the inode came into use, ns since 1970; 0 where the file system does not say.
    pub(super) birth_ns: u64,
}

impl FileId {
    /// Whether both are the same file, as far as this can tell.
    pub(super) fn is_same(self, other: Self) -> bool {
        let both_born = self.birth_ns != 0 && other.birth_ns != 0;
        match both_born {
            // Device numbers may change at a reboot; inode and birth do not.
            true => self.ino == other.ino && self.birth_ns == other.birth_ns,
            false => self.ino == other.ino && self.dev == other.dev,
        }
    }
}

/// What the file system says of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) id: FileId,
    pub(super) size: u64,
    /// Names that the file has; 0: deleted, and only open.
    pub(super) n_links: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) is_file: bool,
}

impl Facts {
    /// Of the file at `path`, through symbolic links.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|meta| Self::from(&meta))
    }

    /// Of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|meta| Self::from(&meta))
    }
}

impl From<&Metadata> for Facts {
    fn from(meta: &Metadata) -> Self {
        let birth = meta.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let birth_ns = birth.map_or(0, |since| since.as_nanos() as u64);
        Self {
            id: FileId { dev: meta.dev(), ino: meta.ino(), birth_ns },
            size: meta.len(),
            n_links: meta.nlink(),
            modified: meta.modified().ok(),
            is_file: meta.is_file(),
        }
    }
}

/// The first bytes of a file, by length and hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    len: u16,
    #[serde(with = "hex")]
    hash: u64,
}

/// How many bytes a head has at most.
const HEAD_BYTES: usize = 256;

impl Head {
    /// Whether nothing is known yet: the file was empty.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the file still begins as it did.
    pub(super) fn matches(&self, file: &File) -> io::Result<bool> {
        let (bytes, n) = read_head(file)?;
        Ok(n >= usize::from(self.len) && xxh3_64(&bytes[..usize::from(self.len)]) == self.hash
            || self.is_empty())
    }

    /// Whether the file still begins as it did; if so, takes in bytes that came since. The second
    /// value tells whether there were any.
    pub(super) fn check_and_grow(&mut self, file: &File) -> io::Result<(bool, bool)> {
        let (bytes, n) = read_head(file)?;
        let len = usize::from(self.len);
        if n < len || (len > 0 && xxh3_64(&bytes[..len]) != self.hash) {
            return Ok((false, false));
        }
        if n > len {
            *self = Self { len: n as u16, hash: xxh3_64(&bytes[..n]) };
        }
        Ok((true, n > len))
    }
}

/// The bytes before a position, by hash: what was read there must still be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) position: u64,
    #[serde(with = "hex")]
    hash: u64,
}

impl Mark {
    /// The mark of `file` at `position`; `None` if the file does not reach that far.
    pub(super) fn at(file: &File, position: u64) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEAD_BYTES];
        let len = position.min(HEAD_BYTES as u64);
        let n = read_at_most(file, &mut bytes[..len as usize], position - len)?;
        Ok((n as u64 == len).then(|| Self { position, hash: xxh3_64(&bytes[..n]) }))
    }

    /// Whether the file still has these bytes there.
    pub(super) fn matches(&self, file: &File) -> io::Result<bool> {
        Ok(Self::at(file, self.position)?.as_ref() == Some(self))
    }
}

fn read_head(file: &File) -> io::Result<([u8; HEAD_BYTES], usize)> {
    let mut bytes = [0; HEAD_BYTES];
    let n = read_at_most(file, &mut bytes, 0)?;
    Ok((bytes, n))
}

/// Fills `bytes` from `position` on, as far as the file goes.
pub(super) fn read_at_most(file: &File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
    let mut n_read = 0;
    while n_read < bytes.len() {
        match file.read_at(&mut bytes[n_read..], position + n_read as u64) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n_read)
}

/// Numbers of 64 bits as text: JSON readers in other languages round them.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(in super::super) fn serialize<S: Serializer>(n: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{n:016x}"))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn ids() {
        let id = |dev, ino, birth_ns| FileId { dev, ino, birth_ns };
        for (a, b, same) in [
            (id(1, 2, 3), id(1, 2, 3), true),
            (id(1, 2, 3), id(1, 2, 4), false),
            (id(1, 2, 3), id(9, 2, 3), true),
            (id(1, 2, 0), id(1, 2, 3), true),
            (id(1, 2, 0), id(9, 2, 0), false),
            (id(1, 2, 3), id(1, 5, 3), false),
        ] {
            assert_eq!(a.is_same(b), same, "{a:?} {b:?}");
        }
    }

    /// A head follows its file as it grows and tells another content, also a shorter one.
    #[test]
    fn heads_grow_and_tell_apart() {
        let mut file = tempfile::tempfile().expect("file");
        let mut head = Head::default();
        assert_eq!(head.check_and_grow(&file).expect("read"), (true, false));
        for part in [&b"banner\n"[..], &[b'x'; 300], b"more"] {
            file.write_all(part).expect("write");
            assert!(head.matches(&file).expect("read"));
            assert!(head.check_and_grow(&file).expect("read").0);
        }
        assert_eq!(usize::from(head.len), HEAD_BYTES);
        file.write_at(b"B", 0).expect("write");
        assert!(!head.matches(&file).expect("read"));
        assert_eq!(head.check_and_grow(&file).expect("read"), (false, false));
        file.set_len(3).expect("truncate");
        assert!(!head.matches(&file).expect("read"));
    }

    /// Files with one head are told apart where they were read last.
    #[test]
    fn marks() {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(&[b'='; 1000]).expect("write");
        for position in [0, 10, 1000] {
            let mark = Mark::at(&file, position).expect("read").expect("long enough");
            assert!(mark.matches(&file).expect("read"));
        }
        let mark = Mark::at(&file, 900).expect("read").expect("long enough");
        file.write_at(b"x", 899).expect("write");
        assert!(!mark.matches(&file).expect("read"));
        file.set_len(500).expect("truncate");
        assert!(!mark.matches(&file).expect("read"));
        assert_eq!(Mark::at(&file, 501).expect("read"), None);
    }
}
