//! How the connections that a node may have are divided.
//!
//! ```text
//! max_connections = outgoing + settled + visitors + 1
//! ```
//! *Outgoing*: those that an observer keeps up by dialling, at most about half, so that there are as many places for
//! those who dial as there are dials; of a validator, those with the other validators, whoever dialled. *Settled*:
//! observers that dialled this node and stay. *Visitors*: observers that come to ask for addresses. The one that is left is
//! for what goes as soon as it is done: a tracker that is asked, a fresh peer that takes another's place.

use super::event::Config;

/// Most observers that visit at a time.
pub const MAX_VISITORS: usize = 16;

/// The division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Connections that are kept up by dialling.
    pub outgoing: usize,
    /// Observers that dialled this node and stay.
    pub settled: usize,
    /// Further ones that visit.
    pub visitors: usize,
}

impl Places {
    /// The places of an observer; `dialled` connections are there already, those of configured peers among them.
    pub fn of_observer(config: &Config, dialled: usize) -> Self {
        let outgoing = config.target_connections.min((config.max_connections.saturating_sub(2) / 2).max(1));
        Self::beside(config, outgoing, outgoing.max(dialled))
    }

    /// The places of a validator among `others`.
    pub fn of_validator(config: &Config, others: usize) -> Self {
        Self::beside(config, others, others)
    }

    fn beside(config: &Config, outgoing: usize, taken: usize) -> Self {
        let visitors = (config.max_connections / 8).clamp(1, MAX_VISITORS);
        let left = config.max_connections.saturating_sub(taken + visitors + 1);
        Self { outgoing, settled: config.max_observers.min(left), visitors }
    }
}
