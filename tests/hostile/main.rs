//! Hostile peers against real processes: what is refused, who is blamed, what both sides are told, and that the others
//! go on deciding meanwhile.

#![allow(clippy::unwrap_used)]

mod crowds;
mod frames;
mod handshake;
#[path = "../common/network.rs"]
mod network;
mod peer;
mod refused;
mod repeats;

use conclave_ledger::hash::NetworkId;
use network::Network;
use std::time::Duration;

const PENALTIES: &str = "conclave_penalties_total";
const REFUSALS: &str = "conclave_refusals_total";

/// Four validators of which three run: a quorum. The fourth's key is the attacker's.
fn three_of_four() -> Network {
    Network::start_some(4, 3, 200)
}

/// The validator whose key the attacker has.
const TRAITOR: usize = 3;

fn network_id(network: &Network) -> NetworkId {
    conclave::genesis_file::read(&network.genesis()).unwrap().network_id()
}

/// The network does what it is for, and no process has panicked.
fn check_undisturbed(network: &Network, what: &str) {
    let record = network.record(1, what);
    let decided = network.decide(1, &record, Duration::from_secs(30));
    assert!(decided.is_some(), "a record is decided: {what}");
    for node in 0..4 {
        let log = network.log(node);
        assert!(!log.contains("panicked"), "{log}");
    }
}
