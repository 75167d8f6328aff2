//! Whole networks in virtual time, and what can go wrong in them.
//!
//! - [`scenario`]: what is simulated; [`latency`] is a part of it.
//! - [`world`]: the simulation itself, which drives the real machines and the real ledger.
//! - [`adversaries`]: validators that misbehave on purpose; the same ones misbehave on real nodes.
//! - [`observation`] and [`watch`]: what is told of a run, and to whom.

pub mod adversaries;
pub mod latency;
pub mod observation;
pub mod scenario;
pub mod watch;
pub mod world;
