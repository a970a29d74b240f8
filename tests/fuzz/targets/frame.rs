//! What is read back from disk: frames and the origins in them.

use sidewake::event::batch::Batch;
use sidewake::event::frame::{FRAME_BYTES_MAX, FrameError, Header, decode, encode, encode_packed};
use sidewake::event::origin::Origin;

/// A frame is refused or whole. Tried as it is, and with its checksum put right, so that what lies
/// behind the checksum is reached: a broken writer, or an attacker with the disk.
pub(crate) fn decode_and_encode(bytes: &[u8]) {
    check(bytes);
    if bytes.len() >= 8 {
        let mut mended = bytes.to_vec();
        let crc = crc32fast::hash(&mended[8..]);
        mended[4..8].copy_from_slice(&crc.to_le_bytes());
        check(&mended);
        assert_ne!(decode(&mended).err(), Some(FrameError::Checksum));
    }
}

fn check(bytes: &[u8]) {
    let Ok(batch) = decode(bytes) else { return };
    let header = Header::parse(bytes).expect("decode parsed it");
    assert_eq!(header.frame_len(), bytes.len());
    assert!(header.table_len() + batch.slab.len() <= FRAME_BYTES_MAX);
    assert_eq!(batch.len(), header.n_records as usize);
    // Whatever an accessor does, it finds its bytes.
    for event in batch.events() {
        assert_eq!(event.bytes.len(), event.record.len as usize);
        assert!(event.request_id().is_none_or(|id| id.len() <= event.bytes.len()));
        assert!(event.trace_id().is_none_or(|id| id.len() == 32));
        assert!(event.span_id().is_none_or(|id| id.len() == 16));
        assert!((0.0..=1.0).contains(&event.record.probability()));
        let _ = (event.record.kind(), event.record.level(), event.source_position());
    }
    for parts in [encode(&batch), encode_packed(&batch).expect("zstd has memory")] {
        let frame = [parts.head.as_slice(), &parts.table, parts.bytes].concat();
        assert_eq!(frame.len(), parts.len());
        assert_same(&batch, &decode(&frame).expect("what was written reads"));
    }
}

fn assert_same(a: &Batch, b: &Batch) {
    assert_eq!((&a.table, &*a.slab, &a.origin), (&b.table, &*b.slab, &b.origin));
    let positions = |batch: &Batch| (batch.source_key, batch.source_base, batch.source_end);
    assert_eq!((positions(a), a.observed_ns), (positions(b), b.observed_ns));
}

/// An origin is refused, or reads the same once written again.
pub(crate) fn origin(bytes: &[u8]) {
    let Some(origin) = Origin::decode(bytes) else { return };
    let mut written = Vec::new();
    origin.encode(&mut written);
    assert_eq!(Origin::decode(&written), Some(origin));
}
