//! One run: a spool on a fake disk, the reference beside it, and random steps of both.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidewake::spool::disk::Disk;
use sidewake::spool::{
    Backend, Cursor, Options, RouteOptions, Spool, SpoolError, TierId, TierOptions, WhenFull,
    WriterGuard,
};
use sidewake::telemetry::DropReason;

use super::fake_disk::{FakeDisk, Faults};
use super::model::{self, Fate, Item, RouteModel, TierModel};
use super::rng::Rng;

const ROOT: &str = "/spool";
const N_SOURCES: u64 = 3;

/// What may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Crashes and restarts; room enough: nothing may be missing.
    Crashes,
    /// ... and a disk that refuses, sometimes for long.
    Faults,
    /// A small share, `drop_oldest`, and a short retention: what is missing must be counted.
    DropsOldest,
    /// A small share and a route that blocks: nothing may be missing.
    Blocks,
    /// Bits flip while the spool is closed: one frame a flip may be missing.
    Rots,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    flavour: Flavour,
    rng: Rng,
    disk: FakeDisk,
    spool: Option<Arc<Spool>>,
    tiers: Vec<TierModel>,
    now: Instant,
    wall_ns: i64,
    /// Frames that rot may have taken.
    n_flips: u64,
    flipped: Vec<PathBuf>,
    /// The disk refused reads while the spool was opened: until the next start sources may be
    /// thought less far than they are.
    blind: bool,
    /// A kill, after all moves had been written down: nothing that was acknowledged comes again.
    is_exact: bool,
    /// Somebody who may still write: syncs wait for him, or for 10 ms.
    writing: Option<WriterGuard>,
}

impl World {
    pub(crate) fn new(flavour: Flavour, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let disk = FakeDisk::new(rng.next());
        let tier = |sinks: &[&str]| TierModel {
            items: Vec::new(),
            routes: sinks.iter().map(|sink| RouteModel::new(sink)).collect(),
            positions: vec![0; N_SOURCES as usize],
        };
        let tiers = vec![tier(&["loki", "files"]), tier(&["bigquery"])];
        let (spool, now, wall_ns) = (None, Instant::now(), 1_000_000_000_000);
        let mut world = Self {
            flavour,
            rng,
            disk,
            spool,
            tiers,
            now,
            wall_ns,
            n_flips: 0,
            flipped: Vec::new(),
            blind: false,
            is_exact: false,
            writing: None,
        };
        world.open();
        world
    }

    fn options(&self) -> Options {
        let small = matches!(self.flavour, Flavour::DropsOldest | Flavour::Blocks);
        let tier = |(index, tier): (usize, &TierModel)| TierOptions {
            name: format!("tier_{index}"),
            share: 0.5,
            retention: Duration::from_secs(if small { 20 } else { 1 << 30 }),
            routes: tier.routes.iter().map(|route| self.route_options(route)).collect(),
        };
        let tiers = self.tiers.iter().enumerate().map(tier).collect();
        let mut options = Options::new(Backend::Memory, tiers);
        options.max_bytes = if small { 96 << 10 } else { 1 << 40 };
        options.segment_bytes = 6 << 10;
        options.sync_bytes = 8 << 10;
        options.tail_bytes = 8 << 10;
        options.pending_bytes = 16 << 10;
        if self.flavour == Flavour::Blocks {
            options.tiers.iter_mut().for_each(|tier| tier.retention = Duration::from_secs(1 << 30));
        }
        options
    }

    fn route_options(&self, route: &RouteModel) -> RouteOptions {
        let blocks = self.flavour == Flavour::Blocks;
        RouteOptions {
            sink: route.sink.clone(),
            when_full: if blocks { WhenFull::Block } else { WhenFull::DropOldest },
            counters: Arc::clone(&route.counters),
        }
    }

    fn spool(&self) -> &Arc<Spool> {
        self.spool.as_ref().expect("the spool is open")
    }

    /// May durable items be missing?
    fn drops(&self) -> bool {
        matches!(self.flavour, Flavour::DropsOldest | Flavour::Faults | Flavour::Rots)
    }

    /// Opens the spool on what the disk holds, and finds out what that is.
    fn open(&mut self) {
        for route in self.tiers.iter_mut().flat_map(|tier| &mut tier.routes) {
            route.counters = Arc::default();
            route.skipped.clear();
        }
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let blind = self.flavour == Flavour::Faults && self.rng.one_in(3);
        self.blind |= blind;
        let refusals = Faults { kind: ErrorKind::Other, one_in: 8, reads: true, writes: false };
        self.disk.set_faults(blind.then_some(refusals));
        let mut opened = Spool::open_by_hand(self.options(), &disk, Path::new(ROOT));
        while blind && matches!(opened, Err(SpoolError::Disk { .. })) {
            // The start that failed has counted what it found.
            let routes = self.tiers.iter_mut().flat_map(|tier| &mut tier.routes);
            routes.for_each(|route| route.counters = Arc::default());
            opened = Spool::open_by_hand(self.options(), &disk, Path::new(ROOT));
        }
        let (spool, report) = opened.expect("the spool always opens");
        let oldest: Vec<u64> = spool.status().iter().map(|status| status.oldest).collect();
        self.disk.set_faults(None);
        if self.flavour != Flavour::Rots && !blind {
            for (tier, oldest) in report.tiers.iter().zip(oldest) {
                assert!(!tier.cursors_lost, "{tier:?}");
                // A power cut may take a position back behind a segment that went.
                let mut missing = tier.missing.iter();
                assert!(missing.all(|gap| !self.is_exact && gap.to == oldest), "{tier:?}");
                let unsynced = |reason: &str| reason.starts_with("never synced");
                assert!(tier.quarantined.iter().all(|bad| unsynced(&bad.reason)), "{tier:?}");
            }
        }
        self.spool = Some(spool);
        (0..self.tiers.len()).for_each(|tier| self.take_stock(tier));
        self.check();
    }

    /// Reads a tier's log through every cursor and settles the fate of what was unsure.
    fn take_stock(&mut self, tier: usize) {
        let n_routes = self.tiers[tier].routes.len();
        let mut found: Vec<usize> = Vec::new();
        for route in 0..n_routes {
            let mut cursor = self.cursor(tier, route);
            let ids = self.drain(tier, &mut cursor);
            assert!(ids.is_sorted_by(|a, b| a < b), "in order, nothing twice: {ids:?}");
            cursor.rewind(0);
            let model = &mut self.tiers[tier];
            let start = ids.first().copied().unwrap_or(model.items.len());
            let place = &mut model.routes[route];
            place.cursor = Some(cursor);
            place.in_flight.clear();
            assert!(start >= place.acked || !self.is_exact, "tier {tier}: {start} comes again");
            // From here to its new place lies what it was owed and does not get.
            (place.read, place.acked) = (place.acked, start);
            if ids.len() > found.len() {
                found = ids;
            }
        }
        self.settle_fates(tier, &found);
        for route in 0..n_routes {
            let RouteModel { read: owed, acked: start, .. } = self.tiers[tier].routes[route];
            let missing = self.sure_events(tier, owed, start.max(owed));
            assert!(missing == 0 || self.drops(), "route {route} of tier {tier} lost {missing}");
            self.tiers[tier].routes[route].read = start;
        }
    }

    fn settle_fates(&mut self, tier: usize, found: &[usize]) {
        let drops = self.drops();
        let first = found.first().copied().unwrap_or(self.tiers[tier].items.len());
        let mut lost = false;
        for (id, item) in self.tiers[tier].items.iter_mut().enumerate() {
            let here = found.binary_search(&id).is_ok();
            match item.fate {
                Fate::Waits(_) => unreachable!("a crash makes it unsure"),
                Fate::Unsure => {
                    // What was never acknowledged survives as a beginning, never with a hole, or a
                    // source would be thought further than its bytes.
                    assert!(!(here && lost), "item {id} survived without one before it");
                    lost |= !here && item.n_events > 0;
                    item.fate = if here { Fate::Sure } else { Fate::Lost };
                }
                Fate::Dropped if here => item.fate = Fate::Sure,
                Fate::Sure if !here && id >= first && item.n_events > 0 => {
                    assert!(drops, "item {id} of tier {tier} was durable and is gone");
                    item.fate = Fate::Lost;
                }
                _ => {}
            }
        }
    }

    fn sure_events(&self, tier: usize, from: usize, to: usize) -> u64 {
        let items = self.tiers[tier].items[from..to].iter();
        let sure = items.filter(|item| matches!(item.fate, Fate::Sure));
        sure.map(|item| item.n_events).sum()
    }

    fn cursor(&self, tier: usize, route: usize) -> Cursor {
        let sink = &self.tiers[tier].routes[route].sink;
        self.spool().cursor(TierId(tier as u8), sink).expect("the cursor is free")
    }

    /// All that `cursor` has; damage on the way needs turns of the writer.
    fn drain(&mut self, tier: usize, cursor: &mut Cursor) -> Vec<usize> {
        let mut ids = Vec::new();
        let mut n_idle = 0;
        while n_idle < 3 {
            match cursor.try_next() {
                Some(entry) => {
                    ids.push(model::identify(tier, &entry.batch));
                    n_idle = 0;
                }
                None => {
                    n_idle += 1;
                    if matches!(self.flavour, Flavour::Rots | Flavour::Faults) {
                        self.now += Duration::from_secs(1);
                        self.spool().turn(self.now, self.wall_ns);
                    }
                }
            }
        }
        ids
    }

    /// One random step.
    pub(crate) fn step(&mut self) {
        let tier = self.rng.below(self.tiers.len() as u64) as usize;
        let route = self.rng.below(self.tiers[tier].routes.len() as u64) as usize;
        match self.rng.below(100) {
            0..40 => self.append(tier),
            40..60 => self.turn(),
            60..78 => self.next(tier, route),
            78..88 => self.ack(tier, route),
            88..91 => self.rewind(tier, route),
            91..92 => self.take_again(tier, route),
            92..94 => drop(self.spool().pack()),
            94..96 => self.spool().write_positions(self.now),
            96 => self.change_route(tier, route),
            97 => self.toggle_faults(),
            98 => self.pass_time(),
            _ => self.restart(),
        }
        self.check();
    }

    fn append(&mut self, tier: usize) {
        self.writing = (!self.rng.one_in(4)).then(|| self.spool().writer());
        let id = TierId(tier as u8);
        if self.flavour == Flavour::Blocks && self.spool().must_wait(id) {
            return;
        }
        for _ in 0..1 + self.rng.below(4) {
            // Mostly events; sometimes a position only, which no cursor sees.
            let n_events = if self.rng.one_in(8) { 0 } else { 1 + self.rng.below(6) };
            let source = self.rng.below(N_SOURCES);
            let model = &mut self.tiers[tier];
            let base = model.positions[source as usize];
            let end = base + 1 + self.rng.below(100);
            model.positions[source as usize] = end;
            let item = model.items.len();
            let batch = model::batch(tier, item, n_events, (source + 1, base, end), self.wall_ns);
            let sampled_out = self.rng.below(3);
            let ticket = if self.flavour == Flavour::Blocks {
                self.spool().append_rereadable(id, batch, sampled_out)
            } else {
                self.spool().append(id, batch, sampled_out)
            };
            self.tiers[tier].items.push(Item {
                fate: Fate::Waits(ticket),
                n_events,
                source_key: source + 1,
                source_end: end,
            });
        }
    }

    fn turn(&mut self) {
        self.now += Duration::from_millis(self.rng.below(15));
        self.wall_ns += 10_000_000;
        self.spool().turn(self.now, self.wall_ns);
        self.tiers.iter_mut().for_each(TierModel::poll);
    }

    fn next(&mut self, tier: usize, route: usize) {
        for _ in 0..1 + self.rng.below(6) {
            let place = &mut self.tiers[tier].routes[route];
            let Some(entry) = place.cursor.as_mut().and_then(Cursor::try_next) else { return };
            let id = model::identify(tier, &entry.batch);
            assert!(id >= place.read, "item {id} came again, {} was next", place.read);
            let from = place.read;
            place.read = id + 1;
            place.in_flight.push_back((id, entry.range.to));
            let fate = &self.tiers[tier].items[id].fate;
            assert!(matches!(fate, Fate::Sure), "item {id} was shown and is {fate:?}");
            let skipped = self.sure_events(tier, from, id);
            assert!(skipped == 0 || self.drops(), "tier {tier}: skipped {from}..{id}");
            let model = &mut self.tiers[tier];
            let sure = (from..id).filter(|id| matches!(model.items[*id].fate, Fate::Sure));
            model.routes[route].skipped.extend(sure);
        }
    }

    fn ack(&mut self, tier: usize, route: usize) {
        let n = self.rng.below(self.tiers[tier].routes[route].in_flight.len() as u64 + 1);
        let mut expected = 0;
        let mut to = 0;
        for _ in 0..n {
            let model = &mut self.tiers[tier];
            let place = &mut model.routes[route];
            let Some((id, end)) = place.in_flight.pop_front() else { break };
            expected += model.items[id].n_events;
            (place.acked, to) = (id + 1, end);
        }
        let place = &mut self.tiers[tier].routes[route];
        let Some(cursor) = &mut place.cursor else { return };
        let settled = cursor.ack(to);
        assert_eq!(settled, expected, "events settled by ack({to})");
        place.counters.delivered.add(settled);
    }

    fn rewind(&mut self, tier: usize, route: usize) {
        let place = &mut self.tiers[tier].routes[route];
        let Some(at) = (!place.in_flight.is_empty())
            .then(|| self.rng.below(place.in_flight.len() as u64) as usize)
        else {
            return;
        };
        // The end of the frame before is as good a place as the frame's own start.
        let to = if at == 0 { 0 } else { place.in_flight[at - 1].1 };
        place.read = place.in_flight[at].0;
        place.in_flight.truncate(at);
        place.cursor.as_mut().expect("a cursor").rewind(to);
    }

    fn take_again(&mut self, tier: usize, route: usize) {
        let place = &mut self.tiers[tier].routes[route];
        if let Some((id, _)) = place.in_flight.front() {
            place.read = *id;
        }
        place.in_flight.clear();
        place.cursor = None;
        self.tiers[tier].routes[route].cursor = Some(self.cursor(tier, route));
    }

    /// Takes a route off and gives it back a little later: it goes on where it stood, but for what
    /// no other route waited for.
    fn change_route(&mut self, tier: usize, route: usize) {
        let id = TierId(tier as u8);
        let place = &mut self.tiers[tier].routes[route];
        (place.cursor, place.in_flight) = (None, std::collections::VecDeque::new());
        let sink = place.sink.clone();
        assert!(self.spool().remove_route(id, &sink), "it is free");
        let place = &mut self.tiers[tier].routes[route];
        place.assert_adds_up();
        assert_eq!(place.counters.spooled.get(), 0);
        for _ in 0..self.rng.below(4) {
            self.append(tier);
            if self.rng.one_in(2) {
                self.turn();
            }
        }
        let place = &mut self.tiers[tier].routes[route];
        place.counters = Arc::default();
        place.skipped.clear();
        // Where it stood is looked for in a segment: what cannot be read is handed out again.
        self.disk.set_faults(None);
        let options = self.route_options(&self.tiers[tier].routes[route]);
        self.spool().add_route(id, options).expect("there is room for it");
        let mut cursor = self.cursor(tier, route);
        let ids = self.drain(tier, &mut cursor);
        cursor.rewind(0);
        let model = &mut self.tiers[tier];
        model.poll();
        let acked = model.routes[route].acked;
        let waits = |item: &Item| matches!(item.fate, Fate::Waits(_));
        let pending = model.items.iter().position(waits).unwrap_or(model.items.len());
        let start = ids.first().copied().unwrap_or(pending.max(acked));
        assert!(ids.is_sorted_by(|a, b| a < b), "in order, nothing twice: {ids:?}");
        assert!(start >= acked || self.flavour == Flavour::Rots, "{start} came again");
        let others = model.routes.iter().enumerate().filter(|(index, _)| *index != route);
        let passed = others.map(|(_, other)| other.acked).min().unwrap_or(start);
        let gone = self.sure_events(tier, passed.clamp(acked.min(start), start), start);
        assert!(gone == 0 || self.drops(), "tier {tier} lost {gone} that another waits for");
        let place = &mut self.tiers[tier].routes[route];
        (place.acked, place.read, place.cursor) = (start, start, Some(cursor));
    }

    fn toggle_faults(&mut self) {
        if self.flavour == Flavour::Faults {
            let kinds = [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other];
            let kind = kinds[self.rng.below(3) as usize];
            let one_in = 1 + self.rng.below(4);
            let faults = Faults { kind, one_in, reads: self.rng.one_in(3), writes: true };
            self.disk.set_faults(self.rng.one_in(2).then_some(faults));
        }
    }

    fn pass_time(&mut self) {
        self.now += Duration::from_secs(6);
        self.wall_ns += 5_000_000_000;
        if self.flavour == Flavour::DropsOldest && self.rng.one_in(2) {
            // All there is outlives its retention.
            self.wall_ns += 20_000_000_000;
        }
        self.turn();
    }

    /// A crash, a kill or a clean end, and the start after it.
    fn restart(&mut self) {
        let clean = self.flavour == Flavour::Rots || self.rng.one_in(3);
        if clean {
            self.disk.set_faults(None);
            // Past any pause after a refusal.
            self.now += Duration::from_secs(10);
            let closed = self.spool().close(self.now);
            assert!(closed || self.flavour == Flavour::Blocks, "closes when nothing refuses");
            let late = self.spool().append(TierId(0), model::batch(0, 0, 1, (1, 0, 1), 0), 0);
            assert_eq!(
                {
                    let mut late = late;
                    late.try_result()
                },
                Some(Err(SpoolError::Closed))
            );
        }
        for tier in &mut self.tiers {
            tier.poll();
            for item in &mut tier.items {
                if matches!(item.fate, Fate::Waits(_)) {
                    item.fate = Fate::Unsure;
                }
            }
            tier.routes.iter_mut().for_each(|route| route.cursor = None);
        }
        self.check_dropped();
        let is_killed = self.rng.one_in(3);
        if is_killed {
            self.spool().write_positions(self.now);
        }
        self.is_exact = is_killed && !matches!(self.flavour, Flavour::Faults | Flavour::Rots);
        self.disk = if is_killed { self.disk.kill() } else { self.disk.crash() };
        (self.spool, self.writing) = (None, None);
        if self.flavour == Flavour::Rots {
            self.flip();
        }
        self.open();
    }

    fn flip(&mut self) {
        let files = self.disk.files();
        let rots = |path: &Path| path.extension().is_none_or(|name| name != "quarantine");
        // One flip a segment: between two damaged heads nothing is believed, which is more to lose.
        let files: Vec<_> = files
            .into_iter()
            .filter(|(path, len)| *len > 0 && rots(path))
            .filter(|(path, _)| !self.flipped.contains(&path.with_extension("")))
            .collect();
        if !files.is_empty() {
            let (path, len) = &files[self.rng.below(files.len() as u64) as usize];
            if path.extension().is_some() {
                self.flipped.push(path.with_extension(""));
            }
            self.disk.flip(path, self.rng.below(*len as u64 * 8) as usize);
            self.n_flips += 1;
        }
    }

    /// What must hold after every step.
    fn check(&mut self) {
        for (index, tier) in self.tiers.iter_mut().enumerate() {
            tier.poll();
            for route in &tier.routes {
                route.assert_adds_up();
                if matches!(self.flavour, Flavour::Crashes | Flavour::Blocks) {
                    assert_eq!(route.n_dropped(), 0, "{:?}", route.counters);
                    let spooled = route.counters.spooled.get();
                    assert_eq!(spooled, tier.n_owed(route).cast_signed(), "tier {index}");
                }
            }
            if self.flavour != Flavour::Rots && !self.blind {
                for key in 1..=N_SOURCES {
                    let held = self.spool.as_ref().expect("open").held_to(TierId(index as u8), key);
                    // A position without events may survive a crash unseen.
                    let known = tier.held_to(key);
                    assert!(held >= known, "source {key} of tier {index}: {held:?} < {known:?}");
                    let made = tier.positions[key as usize - 1];
                    assert!(held.is_none_or(|held| held <= made));
                }
            }
        }
        self.check_bounds();
    }

    fn check_bounds(&self) {
        for status in self.spool().status() {
            // One frame may be larger than what is left beside an empty head.
            let slack = 16 << 10;
            assert!(status.stored_bytes <= status.bytes_max + slack, "{status:?}");
            assert!(status.tail_bytes <= 8 << 10, "{status:?}");
        }
    }

    /// Everything that was durable and passed over was counted.
    fn check_dropped(&self) {
        let routes = self.tiers.iter().flat_map(|tier| tier.routes.iter().map(move |r| (tier, r)));
        for (tier, route) in routes {
            let skipped: u64 = route.skipped.iter().map(|id| tier.items[*id].n_events).sum();
            let counted: u64 = [
                DropReason::SpoolFull,
                DropReason::SpoolError,
                DropReason::Quarantined,
                DropReason::Expired,
            ]
            .iter()
            .map(|reason| route.n_dropped_for(*reason))
            .sum();
            assert!(skipped <= counted, "{skipped} skipped, {counted} counted");
        }
    }

    /// Lets the disk be well again and everything arrive.
    pub(crate) fn finish(&mut self) {
        self.disk.set_faults(None);
        for _ in 0..2000 {
            self.now += Duration::from_secs(6);
            self.spool().turn(self.now, self.wall_ns);
            self.tiers.iter_mut().for_each(TierModel::poll);
            for tier in 0..self.tiers.len() {
                for route in 0..self.tiers[tier].routes.len() {
                    self.next(tier, route);
                    self.ack_all(tier, route);
                }
            }
            self.check();
            let waiting = |status: &sidewake::spool::TierStatus| {
                status.pending_bytes > 0 || status.routes.iter().any(|route| route.lag_bytes > 0)
            };
            if !self.spool().status().iter().any(waiting) {
                break;
            }
        }
        // What was acknowledged last goes in the turns after.
        (0..2).for_each(|_| self.spool().turn(self.now, self.wall_ns));
        assert!(self.spool().is_accepting(), "recovers by itself");
        for status in self.spool().status() {
            assert_eq!(status.pending_bytes, 0, "{status:?}");
            assert!(status.n_segments <= 2, "what all have passed goes: {status:?}");
            for route in &status.routes {
                assert_eq!((route.lag_bytes, route.lag_events, route.oldest_ns), (0, 0, None));
            }
        }
        self.check_dropped();
        let lost = |item: &&Item| matches!(item.fate, Fate::Lost);
        if self.flavour == Flavour::Rots {
            let n_lost = self.tiers.iter().flat_map(|tier| &tier.items).filter(lost).count() as u64;
            assert!(n_lost <= self.n_flips, "{n_lost} frames lost by {} flips", self.n_flips);
        }
    }

    fn ack_all(&mut self, tier: usize, route: usize) {
        while !self.tiers[tier].routes[route].in_flight.is_empty() {
            self.ack(tier, route);
        }
    }
}
