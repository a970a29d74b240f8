//! A point's labels: attributes under the names of labels, sorted, each name once.
//!
//! Source: OpenTelemetry "Prometheus and OpenMetrics compatibility", metric attributes: what
//! collides is joined by `;` in the order of the original keys.

use super::index::Memo;
use super::names;
use super::symbols::Symbols;
use super::values::{key_value, push_text};
use crate::event::otlp::walk::tags;
use crate::event::otlp::wire::Field;

/// One label.
#[derive(Clone, Copy, Debug)]
struct Pair {
    name: u32,
    value: u32,
    /// Where the attribute's key lies; nothing for a label that is no attribute's.
    key: (usize, usize),
}

/// The labels of one point, and room for those of its series.
#[derive(Debug, Default)]
pub(super) struct Labels {
    pairs: Vec<Pair>,
    refs: Vec<u32>,
    text: Vec<u8>,
    /// Names of labels by keys of attributes; 0 for what can be none.
    names: Memo,
}

impl Labels {
    /// Begins a point.
    pub(super) fn begin(&mut self) {
        self.pairs.clear();
    }

    /// Adds an attribute. Scraped ones are labels as they are.
    #[inline]
    pub(super) fn attribute(
        &mut self,
        symbols: &mut Symbols,
        bytes: &[u8],
        field: Field,
        is_scraped: bool,
    ) {
        let (key, value) = key_value(bytes, field);
        let Some(value) = value.filter(|value| !(value.tag == tags::TEXT && value.is_empty()))
        else {
            return;
        };
        let name = if is_scraped { symbols.reference(key) } else { self.name(symbols, key) };
        if name == 0 {
            return;
        }
        let value = if value.tag == tags::TEXT {
            symbols.reference(value.of(bytes))
        } else {
            self.text.clear();
            push_text(bytes, value, &mut self.text);
            symbols.reference(&self.text)
        };
        let start = key.as_ptr() as usize - bytes.as_ptr() as usize;
        self.pairs.push(Pair { name, value, key: (start, start + key.len()) });
    }

    /// The symbol of a key's label.
    #[inline]
    fn name(&mut self, symbols: &mut Symbols, key: &[u8]) -> u32 {
        if let Some(known) = self.names.get(key) {
            return known;
        }
        let name = symbols.reference(names::label(key).as_bytes());
        self.names.put(key, name);
        name
    }

    /// Ends the point: no label of a `reserved` name stays, those of `own` take the place of
    /// others.
    pub(super) fn end(
        &mut self,
        symbols: &mut Symbols,
        bytes: &[u8],
        reserved: &[u32],
        own: &[(u32, u32)],
    ) {
        let is_own = |name: u32| own.iter().any(|(of, value)| *of == name && *value != 0);
        self.pairs.retain(|pair| !reserved.contains(&pair.name) && !is_own(pair.name));
        let own = own.iter().filter(|(_, value)| *value != 0);
        self.pairs.extend(own.map(|(name, value)| Pair {
            name: *name,
            value: *value,
            key: (0, 0),
        }));
        let order = |a: &Pair, b: &Pair| {
            let names = symbols.text(a.name).cmp(symbols.text(b.name));
            names.then_with(|| bytes[a.key.0..a.key.1].cmp(&bytes[b.key.0..b.key.1]))
        };
        self.pairs.sort_by(order);
        if self.pairs.windows(2).any(|two| two[0].name == two[1].name) {
            self.join(symbols);
        }
    }

    #[cold]
    fn join(&mut self, symbols: &mut Symbols) {
        let mut joined: Vec<Pair> = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.drain(..) {
            match joined.last_mut().filter(|last| last.name == pair.name) {
                Some(last) => {
                    let both = [symbols.text(last.value), b";", symbols.text(pair.value)].concat();
                    last.value = symbols.reference(&both);
                }
                None => joined.push(pair),
            }
        }
        self.pairs = joined;
    }

    /// The labels of one of the point's series, as names and values: with `more` in their places.
    #[inline]
    pub(super) fn with(&mut self, symbols: &Symbols, more: &[(u32, u32)]) -> &[u32] {
        self.refs.clear();
        self.refs.extend(self.pairs.iter().flat_map(|pair| [pair.name, pair.value]));
        for (name, value) in more {
            let text = symbols.text(*name);
            let pairs = self.refs.as_chunks::<2>().0;
            let at = pairs.iter().position(|[other, _]| symbols.text(*other) > text);
            let at = at.map_or(self.refs.len(), |at| 2 * at);
            self.refs.splice(at..at, [*name, *value]);
        }
        &self.refs
    }

    /// What was kept of the last body.
    pub(super) fn clear(&mut self) {
        self.names.clear();
    }
}
