//! Whole networks in virtual time, and what can go wrong in them.
//!
//! - [`scenario`]: what is simulated; [`latency`] is a part of it. [`draw`]: scenarios by seed.
//! - [`run`]: one scenario, from its start to the verdict.
//! - [`world`]: the simulation itself, which drives the real machines and the real ledger.
//! - [`adversaries`]: validators that misbehave on purpose; the same ones misbehave on real nodes.
//! - [`measure`]: how long a network takes, and what it costs; [`chart`] draws that.
//! - [`partitions`]: every cut of a network, after every event of a height.
//! - [`mining`]: miners, their forks, and a selfish one.
//! - [`oracle`]: what must hold in every run, judged by nothing that is judged.
//! - [`timeline`]: a run as people read it; [`picture`]: as they look at it.
//! - [`observation`] and [`watch`]: what is told of a run, and to whom.

pub mod adversaries;
pub mod chart;
pub mod draw;
pub mod latency;
pub mod measure;
pub mod mining;
pub mod observation;
pub mod oracle;
pub mod partitions;
pub mod picture;
pub mod run;
pub mod scenario;
pub mod timeline;
pub mod watch;
pub mod world;
