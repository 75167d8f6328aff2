//! Faults on real processes: what is promised about crashes, pauses and restarts, shown on the program itself.

#![allow(clippy::unwrap_used)]

mod full_disk;
#[path = "../common/network.rs"]
mod network;
mod receipts;

use conclave::storage::{Disk, Wal};
use conclave_ledger::signed::Kind;
use conclave_protocol::node::LogRecord;
use network::{Network, election, eventually, program, succeed};
use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const TALLY: [(&str, &str); 8] = [
    ("Swirl", "43"),
    ("DV", "36"),
    ("Old Logo", "21"),
    ("Modified", "16"),
    ("Fixed Chicken", "11"),
    ("Further Discussion", "7"),
    ("Ants", "8"),
    ("Seal", "1"),
];

/// The tally as the program prints it, place by place.
fn check_tally(output: &str) {
    for (place, (option, first)) in (1..).zip(TALLY) {
        let line = output.lines().find(|line| line.starts_with(&format!("{place} "))).unwrap_or_default();
        let fits = line.contains(option) && line.trim_end().ends_with(first);
        assert!(fits, "place {place} is {option} with {first} first preferences:\n{output}");
    }
}

fn import(network: &Network) -> Command {
    let mut command = program();
    command.arg("--home").arg(&network.home).args(["poll", "import"]).arg(election());
    command
}

/// The nodes' exports become the same to the byte, once they have exchanged the proofs of the tip, and verify.
fn same_exports(network: &Network, nodes: &[usize]) -> Vec<u8> {
    let export = eventually("the exports are the same to the byte", || {
        let exports: Vec<Vec<u8>> = nodes.iter().map(|node| network.export(*node)).collect();
        exports.iter().all(|export| *export == exports[0]).then(|| exports[0].clone())
    });
    let path = network.home.join(format!("export-{}", nodes[0]));
    let verified = succeed(program().arg("verify").arg(path).arg("--genesis").arg(network.genesis()));
    assert!(verified.contains("tip"), "{verified}");
    export
}

/// How many votes the log of a stopped node holds for each height.
fn votes(network: &Network, node: usize) -> BTreeMap<u64, usize> {
    let genesis = conclave::genesis_file::read(&network.genesis()).unwrap();
    let wal = network.node_home(node).join("wal");
    let (_, replay) = Wal::open(&wal, genesis.network_id().0, Arc::new(Disk)).unwrap();
    let mut votes = BTreeMap::new();
    for record in replay.records {
        // The first byte says whether parts follow; a signature is always one part.
        if let Ok(LogRecord::Signed(signed)) = LogRecord::decode(&record.payload[1..])
            && signed.kind == Kind::Vote
        {
            *votes.entry(signed.height).or_default() += 1;
        }
    }
    votes
}

#[test]
fn four_validators_agree_on_the_debian_poll_and_anybody_can_check_it() {
    let network = Network::start(4, 500);
    check_tally(&succeed(&mut import(&network)));
    network.wait_agreement(&[0, 1, 2, 3]);
    let export = same_exports(&network, &[0, 1, 2, 3]);
    let verify = |path: &std::path::Path| {
        program().arg("verify").arg(path).arg("--genesis").arg(network.genesis()).output().unwrap()
    };
    let path = network.home.join("export-0");
    check_tally(&String::from_utf8_lossy(&verify(&path).stdout));
    let tampered = network.home.join("tampered");
    for position in (0..export.len()).step_by(export.len() / 12) {
        let mut bytes = export.clone();
        bytes[position] ^= 1;
        std::fs::write(&tampered, bytes).unwrap();
        assert!(!verify(&tampered).status.success(), "byte {position} changed");
    }
}

/// The same poll with the leader, and then a follower, killed in the middle.
#[test]
fn a_validator_killed_in_the_middle_of_an_import_loses_nothing_and_votes_once() {
    for kill_leader in [true, false] {
        let mut network = Network::start(4, 300);
        let child =
            import(&network).args(["--rate", "40"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap();
        eventually("ballots are decided", || network.height(0).filter(|height| *height >= 10));
        let leader = network.leader(0);
        let victim = if kill_leader { leader } else { (leader + 2) % 4 };
        network.kill(victim);
        let survivor = (victim + 1) % 4;
        let at = network.height(survivor).unwrap();
        eventually("the others go on", || network.height(survivor).filter(|height| *height > at + 5));
        network.run(victim);
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        check_tally(&text);
        network.wait_connected(victim, 3);
        network.wait_agreement(&[0, 1, 2, 3]);
        same_exports(&network, &[0, 1, 2, 3]);
        network.kill(victim);
        let votes = votes(&network, victim);
        assert!(votes.len() > 5, "the log holds votes");
        assert!(votes.values().all(|count| *count == 1), "one vote in each height: {votes:?}");
    }
}

#[test]
fn with_two_of_four_down_the_chain_halts_says_so_and_goes_on_when_one_returns() {
    let mut network = Network::start(4, 200);
    network.decide(0, &network.record(0, "before"), Duration::from_secs(30)).unwrap();
    network.kill(2);
    network.kill(3);
    let pending = network.record(0, "while two are down");
    assert_eq!(network.decide(0, &pending, Duration::from_millis(100)), None);
    let client = network.client(0);
    eventually("the node says that it has halted", || {
        network.block_on(client.status()).unwrap().halted.map(|_| ())
    });
    assert!(network.log(0).contains("the height cannot close: too few validators are reachable"));
    network.run(3);
    network.decide(0, &pending, Duration::from_secs(60)).unwrap();
    network.run(2);
    network.wait_connected(2, 3);
    network.decide(2, &network.record(2, "all are back"), Duration::from_secs(60)).unwrap();
    network.wait_agreement(&[0, 1, 2, 3]);
}

#[test]
fn every_node_shows_how_far_its_peers_are_now() {
    let network = Network::start(4, 200);
    for round in 1..=3 {
        network.decide(0, &network.record(0, &format!("round {round}")), Duration::from_secs(30)).unwrap();
        let tip = network.wait_agreement(&[0, 1, 2, 3]);
        for node in 0..4 {
            eventually(&format!("node {node} shows the others at height {tip}"), || {
                let peers = network.block_on(network.client(node).peers()).unwrap().peers;
                assert_eq!(peers.len(), 3);
                peers.iter().all(|peer| peer.height == tip).then_some(())
            });
        }
    }
}

#[test]
fn validators_that_are_stopped_for_longer_than_a_window_catch_up() {
    let network = Network::start(4, 200);
    network.decide(0, &network.record(0, "before"), Duration::from_secs(30)).unwrap();
    for stopped in [vec![1], vec![1, 2]] {
        stopped.iter().for_each(|node| network.signal(*node, "-STOP"));
        let transaction = network.record(0, &format!("{} stopped", stopped.len()));
        let decided = network.decide(0, &transaction, Duration::from_secs(3));
        assert_eq!(decided.is_some(), stopped.len() == 1, "a quorum of three decides without the fourth");
        stopped.iter().for_each(|node| network.signal(*node, "-CONT"));
        network.decide(0, &transaction, Duration::from_secs(60)).unwrap();
        network
            .decide(1, &network.record(1, &format!("after {}", stopped.len())), Duration::from_secs(60))
            .unwrap();
        network.wait_agreement(&[0, 1, 2, 3]);
    }
}

#[test]
fn everybody_killed_at_once_keeps_what_was_acknowledged() {
    let mut network = Network::start(4, 200);
    let transactions: Vec<_> = (0..20).map(|number| network.record(0, &format!("record {number}"))).collect();
    let acknowledged: Vec<u64> = transactions
        .iter()
        .zip([0, 1, 2, 3].into_iter().cycle())
        .map(|(transaction, node)| network.decide(node, transaction, Duration::from_secs(30)).unwrap())
        .collect();
    (0..4).for_each(|node| network.kill(node));
    (0..4).for_each(|node| network.run(node));
    (0..4).for_each(|node| network.wait_connected(node, 3));
    for (transaction, height) in transactions.iter().zip(acknowledged) {
        for node in 0..4 {
            assert_eq!(network.decide(node, transaction, Duration::from_secs(30)), Some(height));
        }
    }
    network.decide(3, &network.record(3, "after"), Duration::from_secs(60)).unwrap();
    network.wait_agreement(&[0, 1, 2, 3]);
}

#[test]
fn a_foreign_or_damaged_home_is_an_error_that_says_what_to_do() {
    let mut network = Network::start(1, 200);
    network.decide(0, &network.record(0, "something"), Duration::from_secs(30)).unwrap();
    assert!(network.is_running(0));
    let home = network.node_home(0);
    let refused = |what: &str| {
        let output = program().arg("--home").arg(&home).arg("run").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{what}");
        error
    };
    let error = refused("a second process on one home");
    assert!(error.contains("lock") || error.contains("process"), "{error}");
    network.kill(0);
    let database = home.join("chain.redb");
    let good = std::fs::read(&database).unwrap();
    std::fs::write(&database, b"this is no database").unwrap();
    let error = refused("a damaged database");
    assert!(error.contains("chain.redb"), "{error}");
    std::fs::remove_file(&database).unwrap();
    let error = refused("a database that is gone");
    assert!(error.contains("chain.redb"), "{error}");
    std::fs::write(&database, good).unwrap();
    let wal = home.join("wal");
    let away = home.join("wal-away");
    std::fs::rename(&wal, &away).unwrap();
    let error = refused("a log that is gone");
    assert!(error.contains("wal"), "{error}");
    std::fs::rename(&away, &wal).unwrap();
    network.run(0);
    eventually("the node is back", || network.height(0));
}
