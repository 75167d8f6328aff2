//! Strangers meet, as real processes: nodes that know one address find the others, outlive the node that they met
//! first, and let in newcomers and each other after a restart; and those who cheat about work or addresses stay out.

#![allow(clippy::unwrap_used)]

mod cheats;
mod crowd;
mod eclipse;
#[path = "../common/hub.rs"]
mod hub;
mod lying_tracker;
#[path = "../common/network.rs"]
mod network;
mod observer;
#[allow(dead_code)] // Made for `tests/hostile`, which uses all of it.
#[path = "../hostile/peer.rs"]
mod peer;
mod records;
#[path = "../common/tracker.rs"]
mod tracker;

use conclave_ledger::hash::NetworkId;
use network::{Network, eventually};
use observer::Observer;
use std::{collections::BTreeSet, time::Duration};

/// Work of a fraction of a second in a program that is not optimised.
const BITS: &str = "10";

/// Four validators, all running and connected, that ask for little work.
fn validators() -> Network {
    let mut network = Network::start_some(4, 0, 200);
    (0..4).for_each(|node| network.run_with(node, &["--admission-bits", BITS]));
    (0..4).for_each(|node| network.wait_connected(node, 3));
    network
}

fn network_id(network: &Network) -> NetworkId {
    conclave::genesis_file::read(&network.genesis()).unwrap().network_id()
}

/// Where a validator listens.
fn address(network: &Network, node: usize) -> String {
    network.addresses(node)[0].clone()
}

/// Waits until all of these observers are connected to `count` peers, each to all validators that run.
fn wait_met(network: &Network, observers: &[Observer], validators: usize, count: usize) {
    for observer in observers {
        eventually(&format!("{} meets {count}, {validators} of them validators", observer.name), || {
            let peers = network.block_on(observer.client().peers()).ok()?.peers;
            let found = peers.iter().filter(|peer| peer.validator.is_some()).count();
            (peers.len() >= count && found >= validators).then_some(())
        });
    }
}

/// Every observer gets what the validators decide.
fn check_follows(network: &Network, observers: &[Observer], through: usize, what: &str) {
    let record = network.record(through, what);
    let height = network.decide(through, &record, Duration::from_secs(60)).unwrap();
    for observer in observers {
        eventually(&format!("{} follows to height {height}", observer.name), || {
            let status = network.block_on(observer.client().status()).ok()?;
            (status.height >= height).then_some(())
        });
    }
}

#[test]
fn observers_that_know_one_address_find_everybody_and_outlive_whom_they_met_first() {
    let mut network = validators();
    let first = address(&network, 0);
    let mut observers: Vec<Observer> =
        (1..=5).map(|number| Observer::start(&network, number, &["--peer", &first])).collect();
    wait_met(&network, &observers, 4, 8);
    check_follows(&network, &observers, 1, "everybody is here");
    for observer in &observers {
        let known = network.block_on(observer.client().known_peers()).unwrap().peers;
        let sources: BTreeSet<&str> =
            known.iter().flat_map(|peer| &peer.sources).map(String::as_str).collect();
        assert!(sources.contains("configured") && sources.contains("peer-exchange"), "{known:?}");
        assert_eq!(known.iter().filter(|peer| peer.proved).count(), 4, "{known:?}");
    }
    network.wait_metric(0, "conclave_admissions_total", &[("outcome", "worked")], 5.0);
    network.wait_metric(0, "conclave_known_peers", &[("source", "incoming")], 5.0);

    network.kill(0);
    wait_met(&network, &observers, 3, 7);
    check_follows(&network, &observers, 1, "the first is gone");
    // Whoever knows any of them finds the others.
    let through = observers[2].address(&network);
    observers.push(Observer::start(&network, 6, &["--peer", &through]));
    wait_met(&network, &observers, 3, 8);
    check_follows(&network, &observers, 2, "a newcomer is here");
}

#[test]
fn an_observer_returns_by_what_it_knew_and_a_damaged_file_is_set_aside() {
    let network = validators();
    let first = address(&network, 0);
    let mut observer = Observer::start(&network, 1, &["--peer", &first]);
    wait_met(&network, std::slice::from_ref(&observer), 4, 4);
    // It knows nobody but by its file.
    observer.restart(&[]);
    wait_met(&network, std::slice::from_ref(&observer), 3, 3);
    check_follows(&network, std::slice::from_ref(&observer), 0, "back again");

    observer.stop();
    let file = observer.home.join("known-peers");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    observer.restart(&["--peer", &first]);
    wait_met(&network, std::slice::from_ref(&observer), 4, 4);
    assert!(observer.home.join("known-peers.damaged").exists());
    let log = observer.log();
    assert!(log.contains("the known peers are lost") && log.contains("checksum"), "{log}");
}

#[test]
fn a_node_that_works_too_little_is_refused_and_both_sides_say_why() {
    let network = validators();
    let first = address(&network, 0);
    let lazy = Observer::start(&network, 1, &["--admission-bits", "2", "--peer", &first]);
    network.wait_metric(0, "conclave_admissions_total", &[("outcome", "too-hard")], 1.0);
    eventually("the observer says why", || {
        lazy.log().contains("more work than this node does").then_some(())
    });
    let known = network.block_on(network.client(0).known_peers()).unwrap().peers;
    assert!(known.iter().all(|peer| peer.validator.is_some()), "it did not enter the table: {known:?}");
    // It knocks ever more slowly.
    let refused = || lazy.log().matches("a peer refused this node").count();
    eventually("it was refused a few times", || (refused() >= 4).then_some(()));
    assert!(refused() < 12, "{}", refused());
}

/// Who has business with the tracker that a validator is, and none with its network, is served and not taken for a peer.
#[test]
fn a_validator_that_is_a_tracker_serves_strangers_of_other_networks() {
    let mut network = Network::start_some(4, 0, 200);
    network.run_with(0, &["--admission-bits", BITS, "--serve-tracker"]);
    (1..4).for_each(|node| network.run_with(node, &["--admission-bits", BITS]));
    (0..4).for_each(|node| network.wait_connected(node, 3));
    let other = network.home.join("other.toml");
    let key = network.key(1).public();
    let genesis = ["genesis", "new", "--name", "other", "--validator", &format!("one={key}"), "-o"];
    network::succeed(network::program().args(genesis).arg(&other));
    let tracker = address(&network, 0);
    let flags = ["--genesis", other.to_str().unwrap(), "--tracker", &tracker];
    let strangers = Observer::start_all(&network, 1..3, |_| flags.map(String::from).to_vec());
    // They find each other there.
    wait_met(&network, &strangers, 0, 1);
    for stranger in &strangers {
        let metrics = network.block_on(stranger.client().metrics()).unwrap();
        assert_eq!(network::sample(&metrics, "conclave_trackers_registered", &[]), 1.0);
    }
    assert_eq!(network.metric(0, "conclave_refusals_total", &[]), 0.0, "{}", network.log(0));
    // A node of its own network meets it all the same.
    let observer = Observer::start(&network, 3, &["--tracker", &tracker, "--peer", &tracker]);
    wait_met(&network, &[observer], 4, 4);
}

/// A node with room for one observer lets the others in for as long as they need to find somebody else.
#[test]
fn a_full_node_lets_newcomers_ask_and_go() {
    let mut network = Network::start_some(4, 0, 200);
    let full = ["--admission-bits", BITS, "--max-observers", "1"];
    network.run_with(0, &full);
    (1..4).for_each(|node| network.run_with(node, &["--admission-bits", BITS]));
    (0..4).for_each(|node| network.wait_connected(node, 3));
    let first = address(&network, 0);
    let observers: Vec<Observer> =
        (1..=3).map(|number| Observer::start(&network, number, &["--peer", &first])).collect();
    // Three validators that have room, and each other.
    wait_met(&network, &observers, 3, 5);
    eventually("the full node has let the others go", || {
        let peers = network.block_on(network.client(0).peers()).ok()?.peers;
        (peers.iter().filter(|peer| peer.validator.is_none()).count() == 1).then_some(())
    });
    wait_met(&network, &observers, 3, 5);
    check_follows(&network, &observers, 1, "by way of the others");
}
