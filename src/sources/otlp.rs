//! OTLP, received: gRPC and HTTP, protobuf and JSON, spans, metrics and logs.
//!
//! A request is answered with success when it is durable in the spool, and not before; what cannot
//! be stored now is refused so that the client sends it again. Both transports are served on every
//! address. Spans and metrics go on as the bytes that were received; log records become lines
//! (`log_lines`).
//!
//! Bounds: a request by `max_request`, packed and unpacked, and those of `net`.

mod grpc;
mod http;
mod log_lines;
mod message;
mod serve;

use std::rc::Rc;

use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use self::serve::Server;
use super::net::inlet::Inlet;
use super::net::listen::{self, Bound};
use super::net::serve;
use super::{Context, Ended, Intake, Source, SourceError, Stop};

pub use super::net::listen::{Address, ServerTls};
pub use log_lines::LogLines;

/// What an OTLP source needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; each takes both transports.
    pub addresses: Vec<Address>,
    /// TLS for all of them.
    pub tls: Option<ServerTls>,
    /// Largest request, packed and unpacked.
    pub max_request_bytes: usize,
    /// What all requests in work may hold together.
    pub in_flight_bytes: usize,
}

/// The source, bound to its addresses.
pub struct Otlp {
    context: Context,
    options: Options,
    bound: Vec<Bound>,
    tls: Option<TlsAcceptor>,
}

impl Otlp {
    /// Binds the addresses.
    ///
    /// # Errors
    /// [`SourceError::Listen`] for one that cannot be had, [`SourceError::Options`] for files of
    /// TLS that cannot be used.
    pub fn bind(context: Context, options: Options) -> Result<Self, SourceError> {
        let mut bound = Vec::new();
        for address in &options.addresses {
            let socket = Bound::bind(address)?;
            tracing::info!(source = context.name, address = socket.address(), "listening for OTLP");
            bound.push(socket);
        }
        let tls = match &options.tls {
            Some(files) => {
                let config = listen::tls(files).map_err(|what| SourceError::Options { what })?;
                Some(TlsAcceptor::from(config))
            }
            None => None,
        };
        Ok(Self { context, options, bound, tls })
    }
}

impl Source for Otlp {
    fn run(self: Box<Self>, intake: Box<dyn Intake>, stop: Stop) -> Result<Ended, SourceError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Options { max_request_bytes, in_flight_bytes, .. } = self.options;
        let inlet = Inlet::new(self.context, intake, max_request_bytes, in_flight_bytes);
        let server = Server::new(inlet);
        let local = LocalSet::new();
        let served = serve(self.bound, self.tls, Rc::clone(&server), &stop);
        runtime.block_on(local.run_until(served))?;
        drop((local, runtime));
        server.inlet.flush()?;
        Ok(Ended::default())
    }
}
