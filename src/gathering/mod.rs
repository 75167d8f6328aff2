//! Gathering over libp2p: runs the machine of [`conclave_protocol::gather`] in a swarm of its own, which is gone before
//! a node begins.
//!
//! - `party.rs`: the loop around the machine. `trackers.rs`: its side to the trackers.
//!
//! Parties register under the name of the network that they want to make, so one tracker serves any number of
//! gatherings. They ask every second, so that all learn of the last one to come at about the same time, and stay
//! registered until each has heard from all.

mod party;
mod trackers;

use conclave_behaviours::SwarmError;
use conclave_ledger::{genesis::Genesis, keys::SecretKey, validators::FaultBound};
use conclave_protocol::{
    gather::{self, Event, Failure, Gather, Message, Terms},
    machine::Machine,
    peer::Peer,
    time::Time,
};
use libp2p::{Multiaddr, PeerId};
use std::{collections::BTreeMap, time::Duration};

/// What one party brings to a gathering.
#[derive(Clone, Debug)]
pub struct GatherConfig {
    /// Its node key.
    pub node_key: SecretKey,
    /// Its validator key.
    pub validator_key: SecretKey,
    /// Its name.
    pub name: String,
    /// What all have to agree on.
    pub terms: Terms,
    /// Multiaddrs to listen on.
    pub listen: Vec<Multiaddr>,
    /// Multiaddrs of trackers; at least one, and best the same for all.
    pub trackers: Vec<Multiaddr>,
    /// How long to wait until all are there.
    pub register_limit: Duration,
}

/// The terms, where only the name of the network and the number of parties are said.
pub fn terms(name: String, parties: u16) -> Terms {
    Terms { name, parties, faulty: FaultBound::Third, delta_ms: 500, fast: true }
}

/// How far a gathering is, for who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many have registered.
    Registered(usize),
    /// All are there and connect to each other.
    Complete,
    /// All agree; the signatures are collected.
    Signing,
}

/// What a gathering ends with.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The genesis; byte for byte the same for all.
    pub genesis: Genesis,
    /// Where the others are, with `/p2p/` and the peer id.
    pub addresses: Vec<Multiaddr>,
}

/// Why there is no genesis.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// Fewer than one, or more than can gather.
    #[error("{0} cannot gather: at least 1 and at most {max} parties can", max = gather::MAX_PARTIES)]
    Parties(u16),
    /// No tracker is named.
    #[error("nobody can gather without a tracker: name one with --tracker")]
    NoTracker,
    /// The swarm.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// An address.
    #[error("cannot listen on {address}: {reason}; give another with --listen")]
    Listen {
        /// The address.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// Signals.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    /// The process was told to stop.
    #[error("stopped before all were there")]
    Interrupted,
    /// The parties did not agree, or not all were there.
    #[error(transparent)]
    Failed(Box<Disagreement>),
}

/// The parties did not agree, or not all were there.
#[derive(Debug, thiserror::Error)]
#[error("{}{}", .failure.describe(|peer| name_of(names, peer)), trackers_said(.trackers))]
pub struct Disagreement {
    /// Why.
    pub failure: Failure,
    /// The names of those who have said theirs.
    pub names: BTreeMap<Peer, String>,
    /// What was wrong with trackers.
    pub trackers: Vec<String>,
}

/// A party for people: by its name if it has said it, and its peer id.
fn name_of(names: &BTreeMap<Peer, String>, peer: &Peer) -> String {
    let id = PeerId::from_bytes(peer.as_bytes()).map_or_else(|_| format!("{peer:?}"), |id| id.to_base58());
    match names.get(peer) {
        Some(name) => format!("{name:?} ({id})"),
        None => id,
    }
}

fn trackers_said(trackers: &[String]) -> String {
    match trackers {
        [] => String::new(),
        trackers => format!(" (trackers: {})", trackers.join("; ")),
    }
}

/// Gathers with the others; returns when all have signed, or when it is clear that they will not.
///
/// # Errors
/// [`GatherError`].
pub async fn gather(config: GatherConfig, progress: impl FnMut(Progress)) -> Result<Gathered, GatherError> {
    let run = crate::node::tracking::micros_since_1970();
    let party = gather::Config {
        terms: config.terms.clone(),
        name: config.name.clone(),
        node_key: config.node_key.clone(),
        validator_key: config.validator_key.clone(),
        run,
        created_ms: run / 1000,
        register_limit: config.register_limit,
        round_limit: gather::Config::ROUND_LIMIT,
        grace: gather::Config::GRACE,
    };
    gather_with(config, run, Gather::new(party, Time(0)), progress).await
}

/// Gathers with a machine of the caller, which begins at time 0 in run `run`.
///
/// # Errors
/// [`GatherError`].
pub async fn gather_with<M>(
    config: GatherConfig,
    run: u64,
    machine: M,
    progress: impl FnMut(Progress),
) -> Result<Gathered, GatherError>
where
    M: Machine<Message = Message, Command = gather::Command, Event = Event>,
{
    let parties = config.terms.parties;
    if !(1..=gather::MAX_PARTIES).contains(&usize::from(parties)) {
        return Err(GatherError::Parties(parties));
    }
    if config.trackers.is_empty() {
        return Err(GatherError::NoTracker);
    }
    party::Party::new(config, run, machine)?.run(progress).await
}
