//! Sidewake: the wake that a model leaves, kept by the sidecar beside it.
//!
//! This page is the map. Each module's own page says what it owns, what it deliberately does not
//! do, and why it is as it is.
//!
//! # Bird's eye
//!
//! ```text
//!  COLLECT: a thread each          SPOOL: a log a tier         DELIVER: a task a route
//!  source ► lines ► pipeline ► protect ► Spool::append ► Ticket
//!                                        tier's log ── cursor ► encode ► send ► judge ► ack
//!                                                   └─ cursor ► encode ► …
//! ```
//!
//! What a model prints or sends becomes events; a log belongs to one tier by its kind, spans and
//! metrics to that of their signal; a tier is one durable log; each (tier, sink) route is a cursor
//! on it. Responsibility changes hands once, in
//! the spool: a source's position moves when its events are durable there.
//!
//! # The path of one event
//!
//! 1. `sources/*.rs`: a thread reads bytes into an [`event::slab::Slab`] and cuts whole lines out
//!    of them: an [`event::chunk::Chunk`], raw, which never leaves that thread.
//! 2. `pipeline.rs`: a line is compared with the shapes of lines seen before
//!    ([`event::json::skeleton`]); one that fits none is walked once ([`event::json::walk`]) and
//!    teaches a new one. What shape it is says its kind, its tier and where its ids stand.
//! 3. `pipeline/sample.rs`: kept or not, by a threshold that all signals of a request share; a kept
//!    event carries its probability.
//! 4. `protect/`: fields by policy, values by detectors; what changes is rewritten through
//!    [`event::splice`], gathered per tier by [`protect::outputs`], and sealed:
//!    [`protect::protected::Protected`].
//! 5. `spool/`: the batch is appended to its tier's log as an [`event::frame`], which is the same
//!    bytes with a head; the append's ticket resolves when it is durable, and the source's position
//!    with it.
//! 6. `deliver/`: a route's cursor reads frames; the sink's [`sinks::Encoder`] makes a body of
//!    them; the transport sends it; [`sinks::Sink::judge`] says what the answer means.
//! 7. `deliver/`: delivered or refused for good (dead letters, with the reason), the cursor moves;
//!    anything else is tried again with the same bytes. A segment goes when its last cursor passed.
//!
//! Where a destination counts what it has (BigQuery's streams), the transport writes a body down
//! before it sends it, and the next process begins with that ([`deliver::span`]). An event that
//! belongs to another one waits between two bodies, and the cursor before it.
//!
//! # The path of a span
//!
//! The same, with an OTLP request ([`event::otlp`]) in the place of a chunk of lines: it stays the
//! protobuf that was received, from `sources/otlp` (or `sources/jaeger`, which makes it of Thrift,
//! or `sources/prometheus`, of what it scrapes) through `pipeline/requests`, which finds every text
//! in it and edits what must not leave, to the sink. OTLP's log records become lines on arrival,
//! and go the way of those.
//!
//! Where a tier has a window, sampling does not decide on the way in: events are spooled
//! undecided, [`deliver::window`] waits until the outcome of their requests is known
//! ([`pipeline::fates`]), and appends what is kept to a second log, which the sinks read.
//!
//! # The floors
//!
//! A module imports from the floors below its own and from nowhere else; `tests/tidy.rs` holds this
//! table. `main.rs` stands on the roof: argv to an exit code.
//!
//! ```text
//! 5  admin, cli, daemon                           wiring: who starts, who stops
//! 4  config, deliver, store, tiers                may name every source and sink
//! 3  sources, sinks                               the edges; neither knows the other
//! 2  pipeline, spool                              the middle and the log; nor do these
//! 1  protect                                      the only way to what may leave
//! 0  event, diagnostic, durable, units, secret, telemetry, trust  the ground
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`event`] | what flows: slab, chunk, batch, record, frame; the JSON scan; edits of a line |
//! | [`diagnostic`] | one problem of a config: where, what, why, how to mend it |
//! | [`durable`] | a file that is replaced as a whole |
//! | [`units`] | sizes, durations and rates as people write them |
//! | [`secret`] | a value that is never printed |
//! | [`telemetry`] | our own counters |
//! | [`trust`] | whom our clients believe, by TLS |
//! | [`protect`] | detectors, field policies, pseudonyms, and the seal that the spool demands |
//! | [`pipeline`] | the pure middle: understand, sample, protect, route |
//! | [`spool`] | the durable log of each tier and the cursors on it |
//! | [`sources`] | where telemetry comes in: one file each |
//! | [`sinks`] | where it goes out: an encoder and a judge each, both pure |
//! | [`config`] | the YAML: what was written, with positions, to what runs |
//! | [`deliver`] | the loop around every sink: batch, send, retry, limit, dead letters, ack |
//! | [`store`] | the local files read back: `show` |
//! | [`tiers`] | retention: what is too old goes |
//! | [`admin`] | `/livez`, `/readyz`, `/status`, `/metrics` |
//! | [`cli`] | one file a command |
//!
//! Adding a source or a sink is one file under `sources/` or `sinks/`, and one line in the registry
//! of `config`.
//!
//! # What is deliberately absent
//!
//! - **No event object.** An event is a 48-byte [`event::record::Record`] over a slab; that layout
//!   is also the frame on disk. No tree, no allocation and no lock per event.
//! - **No I/O, no clock and no runtime between the edges.** `event`, `protect` and `pipeline` are
//!   plain functions of their input; the time comes in with the chunk.
//! - **No unprotected byte behind `protect`.** The spool takes only `Protected`, sinks see only
//!   what the spool gives; what cannot be proved harmless is searched, not passed.
//! - **No buffer per sink.** A slow sink is a cursor that lags, and slows nobody else.
//! - **No client in a sink.** Only `deliver` sends, retries, limits and acknowledges.
//! - **No environment below `config`.** A value arrives resolved, or with the position to blame.
//! - **No unbounded queue, and none that counts items.** Bytes bound each of them.
//! - **No `unsafe`, and no panic on input.** `expect("BUG: …")` is for invariants of our own.

// In tests, modules are shared by binaries that each use a part of them: there, and only there,
// `allow` says what `expect` cannot.
#![warn(clippy::allow_attributes)]

pub mod admin;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deliver;
pub mod diagnostic;
pub mod durable;
pub mod event;
pub mod pipeline;
pub mod protect;
pub mod secret;
pub mod sinks;
pub mod sources;
pub mod spool;
pub mod store;
pub mod telemetry;
pub mod tiers;
pub mod trust;
pub mod units;
