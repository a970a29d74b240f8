//! Floor 4: what a tier promises about time. Owns retention in the backends that do not enforce it
//! themselves, of which the embedded store is the first. Deliberately has no clock and no schedule:
//! the daemon calls [`retention::plan`] and [`retention::apply`] with the time.

pub mod retention;
