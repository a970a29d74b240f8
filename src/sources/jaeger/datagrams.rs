//! The datagrams of one socket, each a batch.
//!
//! Owns what becomes of one that cannot be stored: it stays in the kernel's buffer for
//! [`PATIENCE`], as most jams are over by then; when that has passed, it and those behind it are
//! dropped and counted, until there is room again.

use std::io;
use std::net::UdpSocket as StdUdpSocket;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::sockopt::{
    set_socket_recv_buffer_size as set_buffer, set_socket_recv_buffer_size_force as force_buffer,
};
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::drops::KernelDrops;
use super::http::Server;
use super::{Protocol, spans};
use crate::event::signal::Signal;
use crate::sources::net::DRAIN;
use crate::sources::{NotTaken, SourceError, Stage, Stop};
use crate::telemetry::{LossReason, SourceCounters};

/// What the kernel keeps for us while we are busy; `net.core.rmem_max` may allow less.
const RECEIVE_BUFFER: usize = 4 << 20;
/// No datagram is larger: clients split at 65,000.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Datagrams in a row before connections have their turn.
const BURST: usize = 64;
/// How long a datagram waits for room, and how often it looks.
const PATIENCE: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(5);
/// How often the kernel is asked what it dropped.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: StdUdpSocket,
    protocol: Protocol,
    drops: KernelDrops,
}

impl Socket {
    pub(super) fn bind(address: &str, protocol: Protocol) -> io::Result<Self> {
        let socket = StdUdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        // Beyond the bound only for who may; then up to the bound; then what the system gives.
        if force_buffer(&socket, RECEIVE_BUFFER).is_err() {
            let _ = set_buffer(&socket, RECEIVE_BUFFER);
        }
        let drops = KernelDrops::of(&socket)?;
        Ok(Self { socket, protocol, drops })
    }

    /// Where it listens, with the port that was given.
    pub(super) fn address(&self) -> String {
        let address = self.socket.local_addr();
        address.map_or_else(|error| error.to_string(), |address| address.to_string())
    }

    /// Reads until `stop` says so, and then what is there.
    pub(super) async fn read(self, server: Rc<Server>, stop: Stop) -> Result<(), SourceError> {
        let Self { socket, protocol, drops } = self;
        let mut reader = Reader { server, protocol, drops, is_jammed: false };
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let socket = UdpSocket::from_std(socket)?;
        let mut asking = interval(ASK_EVERY);
        asking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_set() {
            tokio::select! {
                // An error is one that reading says again.
                _ = socket.readable() => {}
                _ = asking.tick() => reader.ask(),
                () = stop.reached(Stage::Drain) => break,
            }
            reader.burst(&mut buffer, |buffer| socket.try_recv(buffer)).await;
            tokio::task::yield_now().await;
        }
        // The runtime learns of what came only when it looks; the socket itself knows.
        let (socket, until) = (socket.into_std()?, Instant::now() + DRAIN);
        let is_over = || stop.stage() == Stage::Now || Instant::now() > until;
        while !is_over() && reader.burst(&mut buffer, |buffer| socket.recv(buffer)).await {}
        reader.ask();
        Ok(())
    }
}

struct Reader {
    server: Rc<Server>,
    protocol: Protocol,
    drops: KernelDrops,
    /// There was no room for the last one.
    is_jammed: bool,
}

impl Reader {
    /// Takes what is there, up to a bound; whether there may be more.
    async fn burst(
        &mut self,
        buffer: &mut [u8],
        receive: impl Fn(&mut [u8]) -> io::Result<usize>,
    ) -> bool {
        // One sync for all of them.
        let _busy = self.server.inlet.begin();
        for _ in 0..BURST {
            match receive(buffer) {
                Ok(len) => self.take(&buffer[..len]).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    self.counters().errors.add(1);
                    tracing::debug!(%error, "a datagram could not be read");
                }
            }
        }
        true
    }

    async fn take(&mut self, bytes: &[u8]) {
        let converted = match spans(bytes, self.protocol) {
            Ok(converted) => converted,
            Err(error) => {
                self.counters().errors.add(1);
                let name = &self.server.inlet.context.name;
                tracing::debug!(source = name, %error, n_bytes = bytes.len(), "not a batch");
                return;
            }
        };
        self.counters().rejected.add(u64::from(converted.n_invalid));
        if converted.n_spans == 0 {
            return self.counters().bytes_in.add(bytes.len() as u64);
        }
        if !self.has_room().await {
            return self.lose(LossReason::SpoolUnavailable);
        }
        match self.server.inlet.push(Signal::Traces, converted.request, bytes.len()) {
            Ok(_) => self.is_jammed = false,
            Err(NotTaken::NoTier(_)) => self.lose(LossReason::NoTier),
            Err(NotTaken::Closed) => self.lose(LossReason::SpoolUnavailable),
            Err(NotTaken::Malformed(error)) => {
                self.counters().errors.add(1);
                tracing::error!(error, "BUG: a request made of a batch is none");
            }
        }
    }

    /// Waits for room, unless the last one waited in vain.
    async fn has_room(&self) -> bool {
        let inlet = &self.server.inlet;
        let until = Instant::now() + if self.is_jammed { Duration::ZERO } else { PATIENCE };
        while inlet.must_wait(Signal::Traces) {
            if Instant::now() >= until {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }

    fn lose(&mut self, reason: LossReason) {
        self.counters().lost_datagrams(reason).add(1);
        if !std::mem::replace(&mut self.is_jammed, true) {
            let name = &self.server.inlet.context.name;
            tracing::warn!(source = name, reason = reason.as_str(), "datagrams are dropped");
        }
    }

    /// Counts what the kernel dropped since it was asked the last time.
    fn ask(&mut self) {
        let n_dropped = self.drops.since_last();
        if n_dropped > 0 {
            self.counters().lost_datagrams(LossReason::ReceiveBufferFull).add(n_dropped);
            let name = &self.server.inlet.context.name;
            tracing::warn!(source = name, n_dropped, "the kernel dropped datagrams: too many came");
        }
    }

    fn counters(&self) -> &SourceCounters {
        &self.server.inlet.context.counters
    }
}
