//! The bytes of a request: received, bounded, unpacked.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, EXPECT};
use tokio::time::timeout;

use super::budget::Hold;
use crate::event::otlp::transport::GRPC_HEAD_LEN;
use crate::event::slab::PAD;

/// The longest that a request may take to arrive.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request is believed to be before more of it came: who only announces a large one, and
/// sends it slowly or never, must not hold what others need.
const BELIEVED_BYTES: usize = 128 << 10;
/// How much more of a body that is refused is read, and for how long: a client that still sends
/// when the connection is closed does not see the answer, and would send the same again.
const DISCARD_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);
/// Steps in which packed bodies are unpacked.
const STEP: usize = 64 << 10;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sources) enum Packing {
    None,
    Gzip,
    Deflate,
    Zstd,
}

impl Packing {
    /// What both transports take, as a header's value.
    pub(in crate::sources) const ACCEPTED: &str = "identity,gzip,deflate,zstd";

    /// The packing that a header names.
    pub(in crate::sources) fn parse(word: &[u8]) -> Option<Self> {
        Some(match word.trim_ascii() {
            b"" | b"identity" => Self::None,
            b"gzip" | b"x-gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            b"zstd" => Self::Zstd,
            _ => return None,
        })
    }
}

/// Why there is no whole body.
#[derive(Debug, thiserror::Error)]
pub(in crate::sources) enum BodyError {
    /// Packed or unpacked.
    #[error("the request is larger than {0} bytes (max_request)")]
    TooLarge(usize),
    /// Others take all memory that there is.
    #[error("too many requests at once")]
    Busy,
    /// It did not come in time.
    #[error("the request was not whole after {RECEIVE_TIMEOUT:?}")]
    Slow,
    /// The client went away, or it is not one whole message.
    #[error("the request broke off: {0}")]
    Broken(String),
    /// It says that it is packed, and not how (gRPC).
    #[error("the message is packed, but no packing is named")]
    PackedByNone,
    /// It cannot be unpacked.
    #[error("the request cannot be unpacked: {0}")]
    Packed(io::Error),
}

/// The body of an HTTP request, unpacked.
pub(in crate::sources) async fn of_request(
    request: Request<Incoming>,
    packing: Packing,
    max_bytes: usize,
    hold: &mut Hold,
) -> Result<Vec<u8>, BodyError> {
    let said = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if said.and_then(|said| said.parse::<usize>().ok()).is_some_and(|said| said > max_bytes) {
        refuse(request).await;
        return Err(BodyError::TooLarge(max_bytes));
    }
    let body = receive(request.into_body(), max_bytes, None, hold).await?;
    unpack(body, packing, max_bytes, hold)
}

/// Receives the one message of a gRPC call, and says whether it is packed.
pub(in crate::sources) async fn message_of(
    request: Request<Incoming>,
    max_bytes: usize,
    hold: &mut Hold,
) -> Result<(Vec<u8>, bool), BodyError> {
    let mut head = Head::default();
    let message = receive(request.into_body(), max_bytes, Some(&mut head), hold).await?;
    if head.message_len() != Some(message.len()) || head.bytes[0] > 1 {
        return Err(BodyError::Broken("not one whole message".to_owned()));
    }
    Ok((message, head.bytes[0] == 1))
}

/// What stands before a gRPC message, which goes on without it.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; GRPC_HEAD_LEN],
    n_read: usize,
}

impl Head {
    /// Takes from the front of `data` what is still missing.
    fn take(&mut self, data: &mut Bytes) {
        let n = (GRPC_HEAD_LEN - self.n_read).min(data.len());
        self.bytes[self.n_read..self.n_read + n].copy_from_slice(&data.split_to(n));
        self.n_read += n;
    }

    /// How long the message says that it is, once all of the head is there.
    fn message_len(&self) -> Option<usize> {
        let [_, len @ ..] = self.bytes;
        (self.n_read == GRPC_HEAD_LEN).then_some(u32::from_be_bytes(len) as usize)
    }
}

/// Receives a body whole, but for what belongs into `head`.
async fn receive(
    mut body: Incoming,
    max_bytes: usize,
    head: Option<&mut Head>,
    hold: &mut Hold,
) -> Result<Vec<u8>, BodyError> {
    let received = receive_all(&mut body, max_bytes, head, hold);
    let Ok(received) = timeout(RECEIVE_TIMEOUT, received).await else {
        return Err(BodyError::Slow);
    };
    if let Err(BodyError::TooLarge(_) | BodyError::Busy) = received {
        discard(body).await;
    }
    received
}

/// Reads a request that is refused by its head, unless its client waits for leave to send it.
pub(in crate::sources) async fn refuse(request: Request<Incoming>) {
    if !request.headers().contains_key(EXPECT) {
        discard(request.into_body()).await;
    }
}

/// Reads what is left of a body that is refused, within bounds.
async fn discard(mut body: Incoming) {
    let reading = async {
        let mut n_read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            n_read += frame.data_ref().map_or(0, Bytes::len);
            if n_read > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // Then the answer has to find its way without.
    let _ = timeout(DISCARD_TIMEOUT, reading).await;
}

async fn receive_all(
    body: &mut Incoming,
    max_bytes: usize,
    mut head: Option<&mut Head>,
    hold: &mut Hold,
) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    let said = body.size_hint().exact().unwrap_or(0);
    let mut wanted = usize::try_from(said).unwrap_or(usize::MAX);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(mut data) = frame.into_data() else { continue };
        if let Some(head) = &mut head {
            head.take(&mut data);
            wanted = head.message_len().unwrap_or(0);
        }
        let least = bytes.len() + data.len();
        if wanted.max(least) > max_bytes {
            return Err(BodyError::TooLarge(max_bytes));
        }
        let room = bytes.capacity();
        if room < least + PAD {
            // What was said to come, as far as that is believed; else twice as much as there is.
            let believed = wanted.min(BELIEVED_BYTES.max(room * 2));
            let room_wanted = least.max(believed).max(max_bytes.min(room * 2)) + PAD;
            if !hold.wait_for(room_wanted - room).await {
                return Err(BodyError::Busy);
            }
            bytes.reserve_exact(room_wanted - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Unpacks `packed`, at most `max_bytes` of it.
pub(in crate::sources) fn unpack(
    packed: Vec<u8>,
    packing: Packing,
    max_bytes: usize,
    hold: &mut Hold,
) -> Result<Vec<u8>, BodyError> {
    let bytes = packed.as_slice();
    match packing {
        Packing::None => Ok(packed),
        Packing::Gzip => unpacked(flate2::bufread::MultiGzDecoder::new(bytes), max_bytes, hold),
        Packing::Deflate => unpacked(flate2::bufread::ZlibDecoder::new(bytes), max_bytes, hold),
        Packing::Zstd => {
            let reader = zstd::stream::read::Decoder::with_buffer(bytes);
            let mut reader = reader.map_err(BodyError::Packed)?;
            // 8 MiB of window is what RFC 8878 asks of every decoder, and no more.
            reader.window_log_max(23).map_err(BodyError::Packed)?;
            unpacked(reader, max_bytes, hold)
        }
    }
}

fn unpacked(
    mut reader: impl Read,
    max_bytes: usize,
    hold: &mut Hold,
) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    loop {
        let len = bytes.len();
        if len > max_bytes {
            return Err(BodyError::TooLarge(max_bytes));
        }
        // Doubles, so that a small request takes little and a large one is copied seldom.
        let step = len.clamp(STEP, 1 << 20);
        if bytes.capacity() - len < step + PAD {
            if !hold.grow(step + PAD) {
                return Err(BodyError::Busy);
            }
            bytes.reserve(step + PAD);
        }
        bytes.resize(len + step, 0);
        let n = read_full(&mut reader, &mut bytes[len..]).map_err(BodyError::Packed)?;
        bytes.truncate(len + n);
        if n < step {
            break;
        }
    }
    if bytes.len() > max_bytes {
        return Err(BodyError::TooLarge(max_bytes));
    }
    Ok(bytes)
}

fn read_full(reader: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut n_read = 0;
    while n_read < room.len() {
        match reader.read(&mut room[n_read..]) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n_read)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::budget::Budget;
    use super::*;

    fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::fast();
        match packing {
            Packing::None => bytes.to_vec(),
            Packing::Gzip => {
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
                packer.write_all(bytes).expect("memory");
                packer.finish().expect("memory")
            }
            Packing::Deflate => {
                let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), level);
                packer.write_all(bytes).expect("memory");
                packer.finish().expect("memory")
            }
            Packing::Zstd => zstd::bulk::compress(bytes, 1).expect("memory"),
        }
    }

    const ALL: [Packing; 4] = [Packing::None, Packing::Gzip, Packing::Deflate, Packing::Zstd];

    #[test]
    fn what_is_packed_is_unpacked() {
        let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        for packing in ALL {
            let mut hold = Budget::new(1).begin();
            let got = unpack(packed(packing, &bytes), packing, bytes.len(), &mut hold);
            assert!(got.expect("sound") == bytes, "{packing:?}");
        }
    }

    /// A bomb is stopped at the bound, cut and foreign bytes are no panic.
    #[test]
    fn bombs_and_broken_bytes() {
        let bomb = vec![0; 50 << 20];
        for packing in &ALL[1..] {
            let packed = packed(*packing, &bomb);
            assert!(packed.len() < 1 << 20);
            let mut hold = Budget::new(1).begin();
            let error = unpack(packed.clone(), *packing, 1 << 20, &mut hold).expect_err("a bomb");
            assert!(matches!(error, BodyError::TooLarge(_)), "{error}");
            for broken in [&packed[..packed.len() / 2], b"no packed bytes", b""] {
                let error = unpack(broken.to_vec(), *packing, 100 << 20, &mut hold);
                assert!(
                    matches!(error, Err(BodyError::Packed(_))) || broken.is_empty(),
                    "{packing:?}: {error:?}"
                );
            }
        }
    }
}
