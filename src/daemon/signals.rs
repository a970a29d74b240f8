//! Signals: which end us, which go to the child.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::sources::exec::ChildHandle;

/// What a signal means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Drain and end.
    Stop,
    /// Read the config again.
    Reload,
    /// Passed on to the child; nothing else.
    Forwarded,
}

/// The signals that are listened for.
pub(super) struct Signals {
    listened: Vec<(SignalKind, Signal)>,
    children: Vec<ChildHandle>,
    /// There is a config to read again: SIGHUP is ours.
    can_reload: bool,
}

impl Signals {
    /// Begins to listen. Signals are forwarded to `children`, but for SIGHUP where it means us.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(super) fn listen(children: Vec<ChildHandle>, can_reload: bool) -> std::io::Result<Self> {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        let listened = kinds.into_iter().map(|kind| Ok((kind, signal(kind)?)));
        let listened = listened.collect::<std::io::Result<_>>()?;
        Ok(Self { listened, children, can_reload })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Notice {
        let kind = std::future::poll_fn(|context| {
            for (kind, signal) in &mut self.listened {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*kind);
                }
            }
            std::task::Poll::Pending
        })
        .await;
        if self.can_reload && kind == SignalKind::hangup() {
            return Notice::Reload;
        }
        let number = kind.as_raw_value();
        if let Some(signal) = rustix::process::Signal::from_named_raw(number) {
            self.children.iter().for_each(|child| child.forward(signal));
        }
        let stops = kind == SignalKind::terminate() || kind == SignalKind::interrupt();
        let stops = stops || (kind == SignalKind::quit() && self.children.is_empty());
        if stops { Notice::Stop } else { Notice::Forwarded }
    }
}
