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
    /// Those of the last points, of which the next one may be any.
    orders: Vec<Order>,
    /// Which of them the point has; none where labels were joined.
    order: Option<usize>,
    spare: Vec<Pair>,
    /// The key of each attribute of the points before, by its number.
    keys: Vec<Key>,
    n_attributes: usize,
    /// Names of labels by keys of attributes; 0 for what can be none.
    names: Memo,
}

/// How labels of these names are put in order: the points of a metric have few sets of names.
#[derive(Debug, Default)]
struct Order {
    /// Names as they came.
    names: Vec<u32>,
    /// Which of them comes first, second, and so on.
    places: Vec<usize>,
    /// Where more labels stand among them, as they were asked for: names and places.
    spots: Vec<(u32, usize)>,
}

/// Orders that are remembered; one more takes the place of all.
const ORDERS_MAX: usize = 8;
/// The same of places of more labels.
const SPOTS_MAX: usize = 8;

/// An attribute's key, and the name that it becomes.
#[derive(Debug, Default)]
struct Key {
    text: Vec<u8>,
    is_scraped: bool,
    name: u32,
}

impl Labels {
    /// Begins a point.
    pub(super) fn begin(&mut self) {
        self.pairs.clear();
        self.n_attributes = 0;
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
        let name = self.name_of(symbols, key, is_scraped);
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

    /// The symbol of the label that a key becomes: that of the point before, if it is the same.
    #[inline]
    fn name_of(&mut self, symbols: &mut Symbols, key: &[u8], is_scraped: bool) -> u32 {
        let number = self.n_attributes;
        self.n_attributes += 1;
        if let Some(last) = self.keys.get(number)
            && last.text == key
            && last.is_scraped == is_scraped
        {
            return last.name;
        }
        let name = if is_scraped { symbols.reference(key) } else { self.name(symbols, key) };
        if self.keys.len() <= number {
            self.keys.resize_with(number + 1, Key::default);
        }
        let last = &mut self.keys[number];
        last.text.clear();
        last.text.extend_from_slice(key);
        (last.is_scraped, last.name) = (is_scraped, name);
        name
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
        self.sort(symbols, bytes);
    }

    #[inline]
    fn sort(&mut self, symbols: &mut Symbols, bytes: &[u8]) {
        let Self { pairs, orders, order: last, spare, .. } = self;
        let is_it = |order: &Order| {
            order.names.len() == pairs.len()
                && pairs.iter().zip(&order.names).all(|(pair, name)| pair.name == *name)
        };
        let found = last.filter(|last| orders.get(*last).is_some_and(is_it));
        let Some(found) = found.or_else(|| orders.iter().position(is_it)) else {
            return self.sort_anew(symbols, bytes);
        };
        *last = Some(found);
        std::mem::swap(pairs, spare);
        pairs.clear();
        pairs.extend(orders[found].places.iter().map(|place| spare[*place]));
    }

    #[cold]
    fn sort_anew(&mut self, symbols: &mut Symbols, bytes: &[u8]) {
        let Self { pairs, orders, order, .. } = self;
        let compare = |a: &Pair, b: &Pair| {
            let names = symbols.text(a.name).cmp(symbols.text(b.name));
            names.then_with(|| bytes[a.key.0..a.key.1].cmp(&bytes[b.key.0..b.key.1]))
        };
        let mut places: Vec<usize> = (0..pairs.len()).collect();
        places.sort_by(|a, b| compare(&pairs[*a], &pairs[*b]));
        let names = pairs.iter().map(|pair| pair.name).collect();
        pairs.sort_by(compare);
        *order = None;
        if pairs.windows(2).any(|two| two[0].name == two[1].name) {
            // Which of those comes first depends on their keys: no order for others.
            return self.join(symbols);
        }
        if orders.len() >= ORDERS_MAX {
            orders.clear();
        }
        *order = Some(orders.len());
        orders.push(Order { names, places, spots: Vec::new() });
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
        let [first, second] = match *more {
            [] => [None, None],
            [one] => [Some((self.spot(symbols, one.0), one)), None],
            [one, other, ..] => {
                let (one_at, at) = (self.spot(symbols, one.0), self.spot(symbols, other.0));
                let is_swapped = (at, symbols.text(other.0)) < (one_at, symbols.text(one.0));
                let both = [Some((one_at, one)), Some((at, other))];
                if is_swapped { [both[1], both[0]] } else { both }
            }
        };
        self.refs.clear();
        let mut done = 0;
        for (at, (name, value)) in [first, second].into_iter().flatten() {
            let before = &self.pairs[done..at];
            self.refs.extend(before.iter().flat_map(|pair| [pair.name, pair.value]));
            self.refs.extend([name, value]);
            done = at;
        }
        self.refs.extend(self.pairs[done..].iter().flat_map(|pair| [pair.name, pair.value]));
        &self.refs
    }

    /// How many labels stand before one of this name.
    #[inline]
    fn spot(&mut self, symbols: &Symbols, name: u32) -> usize {
        let Self { pairs, orders, order, .. } = self;
        let mut order = order.and_then(|order| orders.get_mut(order));
        let known = order.as_ref().and_then(|one| one.spots.iter().find(|spot| spot.0 == name));
        if let Some((_, at)) = known {
            return *at;
        }
        let text = symbols.text(name);
        let at = pairs.iter().position(|pair| symbols.text(pair.name) > text);
        let at = at.unwrap_or(pairs.len());
        if let Some(order) = order.as_mut().filter(|order| order.spots.len() < SPOTS_MAX) {
            order.spots.push((name, at));
        }
        at
    }

    /// What was kept of the last body.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.keys.clear();
        self.orders.clear();
        self.order = None;
    }
}
