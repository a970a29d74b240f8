//! Tiers: the defaults, that every kind has exactly one, and that every tier has somewhere to go.

use crate::diagnostic::{list, offer};
use crate::event::record::Kind;
use crate::sinks::row::schema::Schema;
use crate::units::{HumanDuration, Ratio};

use super::super::named::Named;
use super::super::protect::Protect;
use super::super::sample::Sample;
use super::super::sinks::Sink;
use super::super::tiers::{DEFAULT_TIERS, DefaultTier, RawTier, Signal, WhenFull};
use super::super::tree::{Step, steps};
use super::super::{Route, Tier};
use super::Resolver;

/// Retention of a tier of one's own that does not say it.
const RETENTION: HumanDuration = HumanDuration::days(30);
/// Files of a tier are closed once a minute; nothing is deleted more finely than by the hour.
const RETENTION_MIN: HumanDuration = HumanDuration::secs(3_600);

/// Whether there is a table for what belongs to the tier: predictions or their requests, or all of
/// it.
pub(super) fn has_table(tier: &Tier) -> bool {
    let is_of_predictions = |kind: &Kind| matches!(kind, Kind::Request | Kind::Prediction);
    let has_own = Schema::of_kinds(&tier.kinds) != Schema::Predictions;
    has_own || tier.kinds.iter().any(is_of_predictions)
}

impl Resolver<'_> {
    pub(super) fn tiers(
        &mut self,
        named: Named<RawTier>,
        protect: &Protect,
        sinks: &[(String, Sink)],
    ) -> Vec<Tier> {
        self.patterns(&steps!["protect"], &protect.fields);
        let kinds = self.kinds(&named);
        let mut tiers = Vec::new();
        for ((name, raw), kinds) in named.into_iter().zip(kinds) {
            tiers.push(self.tier(name, raw, kinds, protect, sinks));
        }
        self.default_tiers(&mut tiers, protect, sinks);
        self.homeless_kinds(&tiers, sinks);
        tiers
    }

    /// The window of each tier: its own, or that of all tiers of which anything is sampled.
    pub(super) fn windows(&mut self, tiers: &mut [Tier], sample: &Sample) {
        let shortest = HumanDuration(std::time::Duration::from_millis(100));
        let longest = HumanDuration::secs(3_600);
        let check = |resolver: &mut Self, path: &[Step], window: HumanDuration| {
            if window < shortest || window > longest {
                let message = format!("{window} is out of range for a window");
                resolver.at_value(path, message, format!("Write {shortest} to {longest}."));
            }
        };
        if let Some(window) = sample.window {
            check(self, &steps!["sample", "window"], window);
        }
        let rate = &sample.rate;
        for tier in tiers {
            let is_sampled = match tier.signal {
                Signal::Logs => tier.kinds.iter().any(|kind| rate.of(*kind) != Ratio::ONE),
                Signal::Traces => rate.spans != Ratio::ONE,
                Signal::Metrics => false,
            };
            let path = steps!["tiers", tier.name.as_str(), "sample", "window"];
            match tier.window {
                Some(_) if !is_sampled => {
                    let message = format!("nothing of tier \"{}\" is sampled", tier.name);
                    let hint = "Set a rate below 100% in \"sample.rate\", or remove the window.";
                    self.at_key(&path, message, hint);
                }
                Some(window) => check(self, &path, window),
                None if is_sampled => tier.window = sample.window,
                None => {}
            }
        }
    }

    /// The kinds of each tier in turn; of two tiers that claim one kind, the first gets it.
    fn kinds(&mut self, named: &Named<RawTier>) -> Vec<Vec<Kind>> {
        let mut owners: Vec<(Kind, String)> = Vec::new();
        let mut all = Vec::new();
        // Kinds that somebody asked for by name are not also given by default.
        let asked: Vec<Kind> = named
            .iter()
            .flat_map(|(_, raw)| raw.kinds.iter().flatten().map(|word| word.0))
            .collect();
        for (name, raw) in named {
            let default = default_tier(name);
            let signal = default.map_or(Signal::Logs, |tier| tier.signal);
            let mut kinds = Vec::new();
            match &raw.kinds {
                None => {
                    let given = default.map_or(&[][..], |tier| tier.kinds).iter().copied();
                    kinds.extend(given.filter(|kind| !asked.contains(kind)));
                    owners.extend(kinds.iter().map(|kind| (*kind, name.clone())));
                    self.tier_without_kinds(name, default.is_some());
                }
                Some(_) if signal != Signal::Logs => {
                    let message = format!("tier \"{name}\" takes {}, not logs", signal.as_str());
                    let hint = "Remove \"kinds\", or give the tier another name.";
                    self.at_key(&steps!["tiers", name.as_str(), "kinds"], message, hint);
                }
                Some(words) => {
                    for (n, word) in words.iter().enumerate() {
                        let owner = owners.iter().find(|(kind, _)| *kind == word.0);
                        match owner.map(|(_, owner)| owner.clone()) {
                            None => {
                                owners.push((word.0, name.clone()));
                                kinds.push(word.0);
                            }
                            Some(owner) => self.kind_taken(name, n, word.0, &owner),
                        }
                    }
                }
            }
            all.push(kinds);
        }
        all
    }

    fn kind_taken(&mut self, tier: &str, item: usize, kind: Kind, owner: &str) {
        let kind = kind.as_str();
        let message = if tier == owner {
            format!("kind \"{kind}\" stands twice in this list")
        } else {
            format!("kind \"{kind}\" belongs to tier \"{owner}\" already")
        };
        let hint = "Name each kind in one tier only; a tier can have several sinks.";
        self.at_value(&steps!["tiers", tier, "kinds", item], message, hint);
    }

    /// A tier with a name of its own has to say what it is for.
    fn tier_without_kinds(&mut self, name: &str, is_default: bool) {
        let written = self.document.keys(&steps!["tiers", name]);
        if is_default || written.contains(&"kinds") {
            return;
        }
        let defaults = DEFAULT_TIERS.map(|tier| tier.name);
        let guess = crate::diagnostic::closest(name, defaults);
        let guess = guess.map(|name| format!("Did you mean \"{name}\"? "));
        let hint = format!(
            "{}A tier of your own names its kinds: kinds: [prediction]. Kinds: {}.",
            guess.unwrap_or_default(),
            list(Kind::ALL.map(Kind::as_str)),
        );
        let message = format!("tier \"{name}\" does not say which kinds it takes");
        self.at_key(&steps!["tiers", name], message, hint);
    }

    fn tier(
        &mut self,
        name: String,
        raw: RawTier,
        kinds: Vec<Kind>,
        protect: &Protect,
        sinks: &[(String, Sink)],
    ) -> Tier {
        let default = default_tier(&name);
        let signal = default.map_or(Signal::Logs, |tier| tier.signal);
        let retention =
            raw.retention.unwrap_or_else(|| default.map_or(RETENTION, |tier| tier.retention));
        if retention < RETENTION_MIN {
            let message = format!("a retention of {retention} is too short to be kept");
            let hint = format!("Write {RETENTION_MIN} or more: 24h, 30 days, 1 year.");
            self.at_value(&steps!["tiers", name.as_str(), "retention"], message, hint);
        }
        self.patterns(&steps!["tiers", name.as_str()], &raw.fields);
        let routes = self.routes(&name, signal, &raw, sinks);
        let mut fields = raw.fields.0;
        let inherited: Vec<_> = protect
            .fields
            .iter()
            .filter(|(pattern, _)| !fields.iter().any(|(own, _)| own == pattern))
            .cloned()
            .collect();
        fields.extend(inherited);
        let detectors = raw.detect.as_ref().unwrap_or(&protect.detect);
        let on_detect = raw.on_detect.as_ref().unwrap_or(&protect.on_detect);
        let detect =
            detectors.0.iter().map(|detector| (*detector, on_detect.action(*detector))).collect();
        let (window, features) = (raw.sample.window, raw.features);
        Tier { name, signal, kinds, retention, window, routes, features, fields, detect }
    }

    fn routes(
        &mut self,
        tier: &str,
        signal: Signal,
        raw: &RawTier,
        sinks: &[(String, Sink)],
    ) -> Vec<Route> {
        let written = self.document.find(&steps!["tiers", tier, "sinks"]).is_some();
        let mut routes: Vec<Route> = Vec::new();
        for (n, route) in raw.sinks.iter().enumerate() {
            let path = steps!["tiers", tier, "sinks", n];
            // In the long form, the name is a field of the item.
            let named = steps!["tiers", tier, "sinks", n, "name"];
            let path = if self.document.find(&named).is_some() { &named[..] } else { &path[..] };
            if routes.iter().any(|known| known.sink == route.name) {
                let message = format!("sink \"{}\" stands twice in this list", route.name);
                self.at_value(path, message, "Remove one of them.");
            } else if self.can_take(path, tier, signal, &route.name, sinks) {
                routes.push(Route { sink: route.name.clone(), when_full: route.when_full });
            }
        }
        let whole = |path: &[Step]| self.document.is_whole(path);
        if !raw.sinks.is_empty() || !whole(&steps!["tiers", tier]) || !whole(&steps!["sinks"]) {
            return routes;
        }
        match sinks {
            [(only, sink)] if !written && sink.accepts(signal) => {
                routes.push(Route { sink: only.clone(), when_full: WhenFull::default() });
            }
            _ => self.tier_without_sink(tier, signal, sinks),
        }
        routes
    }

    fn can_take(
        &mut self,
        path: &[Step],
        tier: &str,
        signal: Signal,
        name: &str,
        sinks: &[(String, Sink)],
    ) -> bool {
        let Some((_, sink)) = sinks.iter().find(|(known, _)| known == name) else {
            let defined = self.document.keys(&steps!["sinks"]);
            if !defined.contains(&name) && !self.document.is_misspelled("sinks") {
                let message =
                    format!("tier \"{tier}\" sends to sink \"{name}\", which is not defined");
                let hint = match defined.is_empty() {
                    true => {
                        "The config has no sinks. Define it in \"sinks\", or remove this line: \
                             the tier goes to local files then."
                            .to_owned()
                    }
                    false => offer(name, "Defined sinks", defined),
                };
                self.at_value(path, message, hint);
            }
            return false;
        };
        if !sink.accepts(signal) {
            let taking = sinks.iter().filter(|(_, sink)| sink.accepts(signal));
            let all = [Signal::Logs, Signal::Metrics, Signal::Traces];
            let taken = all.into_iter().filter(|signal| sink.accepts(*signal));
            let taken = list(taken.map(|signal| signal.as_str()));
            let (signal, of_type) = (signal.as_str(), sink.type_name());
            let message =
                format!("tier \"{tier}\" has {signal}, and sink \"{name}\" takes only {taken}");
            let taking: Vec<&str> = taking.map(|(name, _)| name.as_str()).collect();
            let hint = match taking.as_slice() {
                [] => "Add a sink that takes them: local: { type: files, path: /var/lib/metrics }."
                    .to_owned(),
                names => format!("Sinks that take {signal}: {}.", list(names.iter().copied())),
            };
            let at = self.document.locate(&steps!["sinks", name]).unwrap_or_default();
            let note = format!("Sink \"{name}\" is of type {of_type}, defined at {at}.");
            let problem = self.document.at_value(path, message).with_note(note).with_hint(hint);
            self.problems.push(problem);
            return false;
        }
        true
    }

    fn tier_without_sink(&mut self, tier: &str, signal: Signal, sinks: &[(String, Sink)]) {
        let mut names = sinks.iter().filter(|(_, sink)| sink.accepts(signal));
        let hint = match names.next() {
            Some((name, _)) => format!("Add: sinks: [{name}]."),
            None => format!("Define a sink that takes {}, and add its name.", signal.as_str()),
        };
        self.at_key(&steps!["tiers", tier], format!("tier \"{tier}\" has no sink"), hint);
    }

    /// The tiers that nobody wrote down. With one sink there is no doubt where they go.
    fn default_tiers(
        &mut self,
        tiers: &mut Vec<Tier>,
        protect: &Protect,
        sinks: &[(String, Sink)],
    ) {
        let written = self.document.keys(&steps!["tiers"]).into_iter().map(str::to_owned);
        let written: Vec<String> = written.collect();
        let [(_, only)] = sinks else { return };
        let taken: Vec<Kind> = tiers.iter().flat_map(|tier| tier.kinds.clone()).collect();
        for default in DEFAULT_TIERS {
            let kinds = default.kinds.iter().copied().filter(|kind| !taken.contains(kind));
            let kinds: Vec<Kind> = kinds.collect();
            let is_needed = default.signal != Signal::Logs || !kinds.is_empty();
            let is_written = written.iter().any(|name| name == default.name);
            if is_needed && !is_written && only.accepts(default.signal) {
                let name = default.name.to_owned();
                tiers.push(self.tier(name, RawTier::default(), kinds, protect, sinks));
            }
        }
    }

    /// Kinds without a tier would be lost in silence.
    fn homeless_kinds(&mut self, tiers: &[Tier], defined: &[(String, Sink)]) {
        let taken = |kind: &Kind| tiers.iter().any(|tier| tier.kinds.contains(kind));
        let homeless: Vec<&str> =
            Kind::OF_LINES.iter().filter(|kind| !taken(kind)).map(|kind| kind.as_str()).collect();
        let lacking: Vec<&str> = DEFAULT_TIERS
            .iter()
            .filter(|tier| tier.kinds.iter().any(|kind| !taken(kind)))
            .map(|tier| tier.name)
            .collect();
        // A tier that was reported, or whose kinds were, may have been meant for them.
        let undecided = |tier: &Tier| tier.kinds.is_empty() && default_tier(&tier.name).is_none();
        let whole = ["tiers", "sinks"].iter().all(|section| {
            self.document.is_whole(&steps![*section]) && !self.document.is_misspelled(section)
        });
        if homeless.is_empty() || !whole || tiers.iter().any(undecided) {
            return;
        }
        let sinks = self.document.keys(&steps!["sinks"]);
        let refuses = |name: &str| {
            let found = defined.iter().find(|(known, _)| known == name);
            found.is_some_and(|(_, sink)| !sink.accepts(Signal::Logs))
        };
        let sink = sinks.iter().copied().find(|name| !refuses(name));
        let sink = sink.unwrap_or("a sink that takes logs").to_owned();
        let example = lacking.first().map(|name| format!("{name}: {{ sinks: [{sink}] }}"));
        let message = format!("no tier takes logs of kind {}", list(homeless));
        let hint = format!("Add to \"tiers\": {}.", example.unwrap_or_default());
        self.at_key(&steps!["tiers"], message, hint);
    }
}

fn default_tier(name: &str) -> Option<DefaultTier> {
    DEFAULT_TIERS.into_iter().find(|tier| tier.name == name)
}
