//! What is put into one body: pieces of frames, the encoder that took them, and what it refused.

use std::ops::Range;
use std::sync::Arc;

use tokio::time::Instant;

use super::held::{Held, Share};
use super::letters::{Letter, Sender};
use super::span::{At, Run};
use crate::protect::protected::Protected;
use crate::sinks::{Encoder, LogRange, Refused, Sink};

/// Bytes that a record costs beside its line, roughly: metadata and framing in every format so far.
const RECORD_OVERHEAD: usize = 96;

/// Part of a frame.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) batch: Arc<Protected>,
    pub(super) events: Range<usize>,
    /// Where the frame begins.
    pub(super) frame: u64,
    /// By event its number in the frame, where the batch is a copy of some of them.
    pub(super) numbers: Option<Arc<[u32]>>,
}

impl Piece {
    pub(super) fn whole(batch: &Arc<Protected>, frame: u64) -> Self {
        Self { batch: Arc::clone(batch), events: 0..batch.len(), frame, numbers: None }
    }

    /// The same with other events.
    pub(super) fn with(&self, events: Range<usize>) -> Self {
        let (batch, numbers) = (Arc::clone(&self.batch), self.numbers.clone());
        Self { batch, events, frame: self.frame, numbers }
    }

    /// The number in its frame of the event at `index` of the batch.
    pub(super) fn number(&self, index: usize) -> u32 {
        let number = self.numbers.as_ref().and_then(|numbers| numbers.get(index)).copied();
        number.unwrap_or(index as u32)
    }

    /// Where each of its events stands.
    pub(super) fn places(&self) -> impl Iterator<Item = At> + '_ {
        self.events.clone().map(|index| At { frame: self.frame, event: self.number(index) })
    }

    /// About what the piece will take in a body.
    pub(super) fn weight(&self) -> usize {
        let records = self.batch.table.get(self.events.clone()).unwrap_or_default();
        records.iter().map(|record| record.len as usize + RECORD_OVERHEAD).sum()
    }

    /// Pieces of at most `max_bytes` each, and at least one event.
    pub(super) fn cut(self, max_bytes: usize) -> Vec<Self> {
        let mut pieces = Vec::new();
        let mut weight = 0;
        let mut start = self.events.start;
        for index in self.events.clone() {
            let one = self.batch.table[index].len as usize + RECORD_OVERHEAD;
            if weight + one > max_bytes && index > start {
                pieces.push(self.with(start..index));
                (start, weight) = (index, 0);
            }
            weight += one;
        }
        pieces.push(Self { events: start..self.events.end, ..self });
        pieces
    }
}

/// A body's content on its way.
pub(super) struct Load {
    pub(super) encoder: Box<dyn Encoder>,
    /// What the encoder took, to encode it again or bury it; empty where nothing is held.
    pub(super) pieces: Vec<Piece>,
    /// What the encoder refused.
    pub(super) letters: Vec<Letter>,
    /// Events that the encoder took.
    pub(super) n_events: usize,
    pub(super) range: LogRange,
    /// Where it ends.
    pub(super) to: At,
    /// What stands before its end and is neither in it nor done with.
    pub(super) left: Vec<Run>,
    /// The time the body was begun, as its encoder knows it.
    pub(super) now_ns: i64,
    /// Position behind the last frame that ends here.
    pub(super) ack_to: Option<u64>,
    pub(super) oldest_ns: i64,
    pub(super) begun_at: Instant,
    /// What it keeps in memory, until it has landed.
    pub(super) held: Held,
    /// A process before this one may have sent it.
    pub(super) may_be_stored: bool,
}

impl Load {
    pub(super) fn begin(
        sink: &dyn Sink,
        share: &Share,
        from: u64,
        oldest_ns: i64,
        now_ns: i64,
    ) -> Self {
        Self {
            encoder: sink.encoder(now_ns),
            pieces: Vec::new(),
            letters: Vec::new(),
            n_events: 0,
            range: LogRange { from, to: from },
            to: At::frame(from),
            left: Vec::new(),
            now_ns,
            ack_to: None,
            oldest_ns,
            begun_at: Instant::now(),
            held: share.begin(),
            may_be_stored: false,
        }
    }

    /// Encodes `piece`. What is refused becomes a letter; what is taken is kept if it `is_held`.
    pub(super) fn push(&mut self, piece: Piece, is_held: bool, sender: &Sender) {
        let (before, memory) = (self.len(), piece.batch.memory());
        let is_whole = piece.events == (0..piece.batch.len());
        let is_shared = is_whole && self.encoder.share(&piece.batch);
        let refused = match is_shared {
            true => Vec::new(),
            false => self.encoder.push(&piece.batch, piece.events.clone()),
        };
        self.n_events += piece.events.len() - refused.len();
        self.bury(&piece, &refused, sender);
        if !is_held {
            return;
        }
        let copied = if is_shared { 0 } else { self.len().saturating_sub(before) };
        self.held.grow(memory + copied);
        if refused.is_empty() {
            self.pieces.push(piece);
        } else {
            let mut indices: Vec<usize> = refused.iter().map(|one| one.event).collect();
            indices.sort_unstable();
            self.pieces.extend(without(&piece, &indices));
        }
    }

    /// It ends with the frame before `position`.
    pub(super) fn end(&mut self, position: u64) {
        self.range.to = position;
        self.to = At::frame(position);
        self.ack_to = Some(position);
    }

    /// Closes the body: the events that are left out of it, to wait.
    pub(super) fn defer(&mut self, now_ns: i64) -> Vec<Piece> {
        let numbers = self.encoder.defer(now_ns);
        if numbers.is_empty() {
            return Vec::new();
        }
        let (kept, waiting) = parted(&self.pieces, &numbers);
        self.pieces = kept;
        self.n_events -= waiting.len();
        waiting.into_iter().map(|(piece, _)| piece).collect()
    }

    /// A letter for each reason.
    fn bury(&mut self, piece: &Piece, refused: &[Refused], sender: &Sender) {
        let mut reasons: Vec<&'static str> = refused.iter().map(|one| one.reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            let events = refused.iter().filter(|one| one.reason == reason).map(|one| one.event);
            self.letters.extend(sender.letter(&piece.batch, events, reason, None));
        }
    }

    /// Bytes so far: of the body and of the letters that wait with it.
    pub(super) fn len(&self) -> usize {
        self.encoder.len() + self.letters.iter().map(|letter| letter.frame.len()).sum::<usize>()
    }
}

/// The pieces without some of their events, which are numbered through all of them; and those.
pub(super) fn parted(pieces: &[Piece], numbers: &[usize]) -> (Vec<Piece>, Vec<(Piece, usize)>) {
    let (mut kept, mut taken, mut first) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        let numbers =
            numbers.iter().filter(|number| (first..first + piece.events.len()).contains(*number));
        let indices: Vec<usize> =
            numbers.map(|number| number - first + piece.events.start).collect();
        taken.extend(
            indices
                .iter()
                .map(|index| (piece.with(*index..index + 1), first + index - piece.events.start)),
        );
        kept.extend(without(piece, &indices));
        first += piece.events.len();
    }
    (kept, taken)
}

/// The parts of `piece` around the events at `indices`.
fn without(piece: &Piece, indices: &[usize]) -> Vec<Piece> {
    let starts = std::iter::once(piece.events.start).chain(indices.iter().map(|index| index + 1));
    let ends = indices.iter().copied().chain([piece.events.end]);
    let ranges = starts.zip(ends).filter(|(start, end)| start < end);
    ranges.map(|(start, end)| piece.with(start..end)).collect()
}

/// As [`halves`], with the events of each row in one of them.
pub(super) fn halves_of(pieces: &[Piece], rows: &[(u32, u32)]) -> (Vec<Piece>, Vec<Piece>) {
    if rows.iter().all(|(first, last)| first == last) {
        return halves(pieces);
    }
    let mut behind: Vec<usize> = rows[rows.len() / 2..]
        .iter()
        .flat_map(|(first, last)| [*first as usize, *last as usize])
        .collect();
    behind.sort_unstable();
    behind.dedup();
    let (before, behind) = parted(pieces, &behind);
    if before.is_empty() || behind.is_empty() {
        return halves(pieces);
    }
    (before, behind.into_iter().map(|(piece, _)| piece).collect())
}

/// Two halves by events, both non-empty for at least two events.
pub(super) fn halves(pieces: &[Piece]) -> (Vec<Piece>, Vec<Piece>) {
    let n_events: usize = pieces.iter().map(|piece| piece.events.len()).sum();
    let mut left = n_events / 2;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for piece in pieces {
        let taken = piece.events.len().min(left);
        left -= taken;
        let middle = piece.events.start + taken;
        for (half, events) in
            [(&mut first, piece.events.start..middle), (&mut second, middle..piece.events.end)]
        {
            if !events.is_empty() {
                half.push(piece.with(events));
            }
        }
    }
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::fakes::protected;

    fn ranges(pieces: &[Piece]) -> Vec<Range<usize>> {
        pieces.iter().map(|piece| piece.events.clone()).collect()
    }

    #[test]
    fn cut_halved_and_left_out() {
        let batch = protected(&["a"; 10]);
        let whole = Piece::whole(&batch, 0);
        let one = 1 + RECORD_OVERHEAD;
        assert_eq!(whole.weight(), 10 * one);
        assert_eq!(ranges(&whole.clone().cut(4 * one)), [0..4, 4..8, 8..10]);
        assert_eq!(ranges(&whole.clone().cut(1)).len(), 10);
        assert_eq!(ranges(&without(&whole, &[0, 3, 4, 9])), [1..3, 5..9]);
        assert_eq!(ranges(&without(&whole, &[5])), [0..5, 6..10]);
        let (kept, taken) = parted(&without(&whole, &[0, 5]), &[1, 4, 7]);
        assert_eq!(ranges(&kept), [1..2, 3..5, 7..9]);
        let taken: Vec<(Range<usize>, usize)> =
            taken.into_iter().map(|(piece, number)| (piece.events, number)).collect();
        assert_eq!(taken, [(2..3, 1), (6..7, 4), (9..10, 7)]);
        let (first, second) = halves(&whole.cut(4 * one));
        assert_eq!((ranges(&first), ranges(&second)), (vec![0..4, 4..5], vec![5..8, 8..10]));
    }
}
