//! Runs of digits: groups parted by single separators (or ` - `), which cards, social security
//! numbers and phone numbers are looked for in.
//!
//! Necessary condition of all three: seven digits in the text, and in a row but for separators.
//!
//! # Why
//! Numbers of ML data must never be mistaken, so a run carries what tells them apart: a group
//! behind `digits.` is the fraction of a double and never a candidate by itself; a long list of
//! numbers (token ids, shapes, arrays) is no card although four of its numbers may look like one.

use super::{Hit, card, phone, ssn};
use crate::protect::context::KeyHint;
use crate::protect::entity::{Entity, EntitySet};

/// Groups looked at together; longer runs are looked at in overlapping parts.
pub(super) const GROUPS_MAX: usize = 32;
/// Groups that two parts of a long run share: a card's at most five.
const OVERLAP: usize = 5;

/// Groups of digits, each parted from the next by one separator.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) text: &'a [u8],
    groups: [(u32, u32); GROUPS_MAX],
    n: usize,
    /// The run goes on behind the last group looked at.
    cut: bool,
}

impl<'a> Run<'a> {
    /// The run whose first digit stands at `start`.
    fn at(text: &'a [u8], start: usize) -> Self {
        let mut run = Run { text, groups: [(0, 0); GROUPS_MAX], n: 0, cut: false };
        let mut i = start;
        loop {
            if run.n == GROUPS_MAX {
                run.cut = true;
                return run;
            }
            let end = i + text[i..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            run.groups[run.n] = (i as u32, end as u32);
            run.n += 1;
            let is_wide = text[end..].starts_with(b" - ");
            let next = end + if is_wide { 3 } else { 1 };
            let goes_on = super::at(text, end, |byte| is_separator(*byte))
                && super::at(text, next, u8::is_ascii_digit);
            if !goes_on {
                return run;
            }
            i = next;
        }
    }

    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Start and end of group `k`.
    pub(super) fn group(&self, k: usize) -> (usize, usize) {
        let (start, end) = self.groups[k];
        (start as usize, end as usize)
    }

    /// Digits of group `k`.
    pub(super) fn len(&self, k: usize) -> usize {
        let (start, end) = self.group(k);
        end - start
    }

    /// The separator's byte before group `k`.
    pub(super) fn separator(&self, k: usize) -> Option<u8> {
        if k == 0 || k >= self.n {
            return None;
        }
        self.text.get(self.group(k).0 - 1).copied()
    }

    /// Digits of all groups together.
    pub(super) fn n_digits(&self) -> usize {
        (0..self.n).map(|k| self.len(k)).sum()
    }

    pub(super) fn whole(&self) -> bool {
        !self.cut
    }

    /// Whether group `k` stands behind `digits.`: the fraction of a number.
    pub(super) fn is_fraction(&self, k: usize) -> bool {
        let start = self.group(k).0;
        super::before(self.text, start, |byte| *byte == b'.')
            && super::before(self.text, start - 1, u8::is_ascii_digit)
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'+' | b'_' | b'/')
}

pub(super) fn find(text: &[u8], set: EntitySet, hint: KeyHint, hits: &mut Vec<Hit>) {
    let mut i = 0;
    while i < text.len() {
        if !text[i].is_ascii_digit() {
            i += 1;
            continue;
        }
        let run = Run::at(text, i);
        let first_hit = hits.len();
        if set.has(Entity::CreditCard) {
            card::find(&run, hint, hits);
        }
        if set.has(Entity::UsSsn) {
            ssn::find(&run, hint, hits);
        }
        let covered = |hits: &[Hit], at: usize| {
            hits[first_hit..].iter().any(|hit| (hit.start..hit.end).contains(&(at as u32)))
        };
        let mut end = run.group(run.n() - 1).1;
        if run.cut {
            end = run.group(GROUPS_MAX - OVERLAP).0;
        }
        for k in 0..run.n() {
            let start = run.group(k).0;
            if set.has(Entity::Phone) && start < end && !covered(hits, start) {
                // A phone number with parentheses reaches over several runs.
                if let Some(hit) = phone::at(&run, k, hint) {
                    end = end.max(hit.end as usize);
                    hits.push(hit);
                }
            }
        }
        i = end;
    }
}
