//! Gathering with real processes: parties who know nothing but the address of a tracker.

#![allow(clippy::unwrap_used)]

mod liar;
#[path = "../common/network.rs"]
mod network;
mod party;
#[path = "../common/tracker.rs"]
mod tracker;

use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    transaction::Request,
};
use network::eventually;
use party::{Group, Running};

const NAMES: [&str; 5] = ["anna", "ben", "cleo", "dora", "emil"];

/// The whole way: five fresh homes and two trackers; the network runs from the file, outlives a tracker, and a newcomer
/// finds it by the other.
#[test]
fn five_fresh_nodes_make_one_genesis_file_and_their_network_decides() {
    let group = Group::new();
    let (mut first, second) = (group.tracker("first"), group.tracker("second"));
    let trackers = [first.address.clone(), second.address.clone()];
    let nodes: Vec<Running> = NAMES
        .iter()
        .map(|name| group.run(name, &["--gather", "5", "--name", "lunch", "--as", name], &trackers))
        .collect();
    for node in &nodes {
        eventually("the five are connected to each other", || (group.peers(node)? == 4).then_some(()));
    }
    let files: Vec<Vec<u8>> = NAMES.iter().map(|name| std::fs::read(group.genesis(name)).unwrap()).collect();
    assert!(files.iter().all(|file| *file == files[0]), "the genesis files are byte-identical");
    let genesis = conclave::genesis_file::read(&group.genesis("anna")).unwrap();
    let names: Vec<&str> = genesis.validators.iter().map(|validator| validator.name.as_str()).collect();
    assert_eq!(names, NAMES);
    let record = |text: &str| {
        let key = group.validator_key("anna");
        let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
        Request { network: genesis.network_id(), sender: key.public(), expires: 900, payload }.sign(&key)
    };
    assert!(group.decide(&nodes[1], &record("first")), "the network decides");
    first.stop();
    assert!(group.decide(&nodes[2], &record("without the first tracker")), "a dead tracker changes nothing");
    group.make_home("olaf", false);
    std::fs::copy(group.genesis("anna"), group.genesis("olaf")).unwrap();
    let newcomer = group.run("olaf", &["--admission-bits", "4"], &trackers);
    eventually("the newcomer finds the network by the other tracker", || {
        (group.height(&newcomer)? >= 2).then_some(())
    });
}

#[test]
fn a_liar_is_named_by_all_honest_parties() {
    let group = Group::new();
    let tracker = group.tracker("tracker");
    let honest: Vec<_> = NAMES[..4].iter().map(|name| group.gather(name, 5, 60, &tracker.address)).collect();
    let liar = liar::lie_to_two_of(&group, 5, &tracker.address);
    for (name, child) in NAMES.iter().zip(honest) {
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name}");
        assert!(!group.genesis(name).exists(), "{name} has no genesis file");
        let last = error.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n");
        assert!(last.contains(&liar.peer_id) && last.contains("lies"), "{name}: {error}");
        assert!(last.contains("mallory"), "{name} says the liar's name too: {last}");
    }
    liar.finished();
}

#[test]
fn one_who_is_missing_ends_the_gathering_after_the_time_limit() {
    let group = Group::new();
    let tracker = group.tracker("tracker");
    let parties: Vec<_> = NAMES[..4].iter().map(|name| group.gather(name, 5, 6, &tracker.address)).collect();
    for (name, child) in NAMES.iter().zip(parties) {
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && !group.genesis(name).exists(), "{name}");
        assert!(error.contains("1 of 5 did not register in time"), "{name}: {error}");
    }
}

#[test]
fn without_a_tracker_or_a_key_there_is_an_error_that_says_what_to_do() {
    let group = Group::new();
    group.make_home("olaf", false);
    let nowhere = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWCQq6fTwCFzPLjQt3txn1ELrXPC9GZHa7jJ7zX2naywr4";
    let output = group.gather_command("olaf", 2, 1, nowhere).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("init --validator"), "{error}");
    let child = group.gather("anna", 2, 3, nowhere);
    let error = String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned();
    assert!(error.contains("2 of 2 did not register in time") && error.contains("(trackers: "), "{error}");
    std::fs::write(group.genesis("anna"), "mine").unwrap();
    let output = group.gather_command("anna", 2, 1, nowhere).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("never overwritten"));
}

/// SIGTERM ends a tracker cleanly, and a second one on the same key file has the same peer id.
#[test]
fn a_tracker_stops_cleanly_and_keeps_its_identity() {
    let group = Group::new();
    let id = |address: &str| address.rsplit('/').next().unwrap().to_owned();
    let mut tracker = group.tracker("tracker");
    let first = id(&tracker.address);
    assert!(tracker.stop().success());
    assert_eq!(id(&group.tracker("tracker").address), first);
}
