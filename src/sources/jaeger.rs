//! Jaeger's Thrift, received: datagrams of the compact and the binary protocol as an agent takes
//! them, and batches over HTTP as a collector does.
//!
//! A batch becomes the OTLP request that would have said the same (`convert`) and goes the way of
//! those. Over HTTP it is answered with success when it is durable, and not before. A datagram has
//! no answer: one that cannot be stored is dropped and counted, under a reason.
//! `emitZipkinBatch`, sampling (5778, 5779) and the statistics that clients send along are not for
//! us.
//!
//! # Why
//! Datagrams are read by the thread that converts and appends them: what comes in meanwhile waits
//! in the socket's buffer, which is made large for that, and what overflows there the kernel counts
//! (`drops`). A queue of our own behind it would only hide how far we are behind.

mod convert;
mod datagrams;
mod drops;
mod http;
mod meaning;
mod message;
mod proto;
mod span;
mod tags;
mod thrift;

use std::rc::Rc;

use tokio::task::{LocalSet, spawn_local};

use self::datagrams::Socket;
use self::http::Server;
use super::net::inlet::Inlet;
use super::net::listen::{Address, Bound};
use super::net::serve;
use super::{Context, Ended, Intake, Source, SourceError, Stop};

pub use convert::{Converted, GROWTH_MAX, spans};
pub use message::Protocol;
pub use thrift::ThriftError;

/// The largest body over HTTP, packed and unpacked: clients split at one or four MiB.
const BODY_BYTES_MAX: usize = 8 << 20;

/// What a Jaeger source needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` for datagrams of the compact protocol.
    pub compact: Option<String>,
    /// `host:port` for those of the binary protocol.
    pub binary: Option<String>,
    /// Where collectors' HTTP is expected.
    pub http: Option<Address>,
    /// What all bodies in work may hold together.
    pub in_flight_bytes: usize,
}

/// The source, bound to its addresses.
pub struct Jaeger {
    context: Context,
    in_flight_bytes: usize,
    sockets: Vec<Socket>,
    http: Vec<Bound>,
}

impl Jaeger {
    /// Binds the addresses.
    ///
    /// # Errors
    /// [`SourceError::Listen`] for one that cannot be had.
    pub fn bind(context: Context, options: Options) -> Result<Self, SourceError> {
        let name = &context.name;
        let mut sockets = Vec::new();
        for (address, protocol) in
            [(options.compact, Protocol::Compact), (options.binary, Protocol::Binary)]
        {
            let Some(address) = address else { continue };
            let socket = Socket::bind(&address, protocol)
                .map_err(|source| SourceError::Listen { address, source })?;
            let address = socket.address();
            tracing::info!(source = name, address, ?protocol, "listening for Jaeger's datagrams");
            sockets.push(socket);
        }
        let mut http = Vec::new();
        if let Some(address) = options.http {
            let bound = Bound::bind(&address)?;
            let address = bound.address();
            tracing::info!(source = name, address, "listening for Jaeger's batches over HTTP");
            http.push(bound);
        }
        Ok(Self { context, in_flight_bytes: options.in_flight_bytes, sockets, http })
    }
}

impl Source for Jaeger {
    fn run(self: Box<Self>, intake: Box<dyn Intake>, stop: Stop) -> Result<Ended, SourceError> {
        let Self { context, in_flight_bytes, sockets, http } = *self;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inlet = Inlet::new(context, intake, BODY_BYTES_MAX, in_flight_bytes);
        let server = Rc::new(Server { inlet });
        let local = LocalSet::new();
        let served = async {
            let mut reading = Vec::new();
            for socket in sockets {
                reading.push(spawn_local(socket.read(Rc::clone(&server), stop.clone())));
            }
            serve(http, None, Rc::clone(&server), &stop).await?;
            for task in reading {
                match task.await {
                    Ok(read) => read?,
                    Err(error) => tracing::error!(%error, "BUG: a socket's task failed"),
                }
            }
            Ok::<(), SourceError>(())
        };
        runtime.block_on(local.run_until(served))?;
        drop((local, runtime));
        server.inlet.flush()?;
        Ok(Ended::default())
    }
}

#[cfg(test)]
mod tests;
