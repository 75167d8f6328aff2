//! Whole networks in virtual time, and what can go wrong in them.
//!
//! - [`adversaries`]: validators that misbehave on purpose; the same ones misbehave on real nodes.

pub mod adversaries;
