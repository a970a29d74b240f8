//! The end of delivery: a switch, thrown once, with the time by which all must be over.

use tokio::sync::watch;
use tokio::time::Instant;

/// The daemon's end.
#[derive(Debug)]
pub struct DrainSwitch(watch::Sender<Option<End>>);

/// A route's end.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Option<End>>);

#[derive(Clone, Copy, Debug)]
struct End {
    deadline: Instant,
    /// Nothing more is read or sent.
    is_halt: bool,
}

/// A switch and the end that follows it.
#[must_use]
pub fn drain() -> (DrainSwitch, Drain) {
    let (sender, receiver) = watch::channel(None);
    (DrainSwitch(sender), Drain(receiver))
}

impl DrainSwitch {
    /// From now on routes flush what is open at once, deliver what they can, and stop at
    /// `deadline`, or as soon as nothing is left or nothing can be sent before it.
    pub fn begin(&self, deadline: Instant) {
        self.0.send_replace(Some(End { deadline, is_halt: false }));
    }

    /// From now on the route reads and sends nothing more: what is in flight lands, until
    /// `deadline`, and all else stays in the spool for the next one.
    pub fn halt(&self, deadline: Instant) {
        self.0.send_replace(Some(End { deadline, is_halt: true }));
    }
}

impl Drain {
    /// The deadline, once the switch is thrown.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.borrow().map(|end| end.deadline)
    }

    /// Whether it was halted.
    #[must_use]
    pub fn halts(&self) -> bool {
        self.0.borrow().is_some_and(|end| end.is_halt)
    }

    /// Resolves when the switch is thrown, at once if it was; never when it is dropped unthrown.
    pub async fn begun(&mut self) -> Instant {
        match self.0.wait_for(Option::is_some).await.map(|end| *end) {
            Ok(Some(end)) => end.deadline,
            _ => std::future::pending().await,
        }
    }
}
