//! Two halves that do not know of each other, each mining, and what becomes of it when they meet.

use super::{confirmations, miners, record, submit, wait_rest, work};
use crate::network::{Network, eventually};
use conclave_ledger::transaction::Transaction;

/// Where a node listens, as its configuration says.
fn address(network: &Network, node: usize) -> String {
    let description = std::fs::read_to_string(network.home.join("network.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&description).unwrap();
    description["nodes"][node]["address"].as_str().unwrap().to_owned()
}

#[test]
fn halves_that_meet_follow_the_heavier_one_and_lose_nothing() {
    let mut network = miners(4);
    for node in 0..4 {
        // Its neighbour, and nobody else.
        let log = network.home.join(format!("blocks-{node}.jsonl"));
        let arguments = ["--peer", &address(&network, node ^ 1), "--block-log", log.to_str().unwrap()];
        network.run_with(node, &arguments);
    }
    (0..4).for_each(|node| network.wait_connected(node, 1));
    let mine = |node: usize, texts: std::ops::Range<usize>| -> Vec<Transaction> {
        texts
            .map(|number| {
                let record = record(&network, &format!("by node {node}: {number}"));
                submit(&network, node, &record);
                eventually("it is mined", || (confirmations(&network, node, &record.id()) > 0).then_some(()));
                record
            })
            .collect()
    };
    let left = mine(0, 0..6);
    let right = mine(2, 0..3);
    let (heavier, lighter) = (wait_rest(&network, &[0, 1]), wait_rest(&network, &[2, 3]));
    assert!(heavier > lighter, "six records take more blocks than three: {heavier}, {lighter}");
    for (here, there) in [(&left, 2), (&right, 0)] {
        assert!(
            here.iter().all(|record| confirmations(&network, there, &record.id()) == 0),
            "they are cut off"
        );
    }

    network.block_on(network.client(1).connect(&address(&network, 2))).unwrap();
    eventually("everything is on one chain", || {
        let all = left
            .iter()
            .chain(&right)
            .all(|record| (0..4).all(|node| confirmations(&network, node, &record.id()) > 0));
        all.then_some(())
    });
    wait_rest(&network, &[0, 1, 2, 3]);
    for node in [2, 3] {
        let status = work(&network, node);
        assert!(status.reorganisations > 0 && status.deepest >= lighter, "{status:?}");
        let log = std::fs::read_to_string(network.home.join(format!("blocks-{node}.jsonl"))).unwrap();
        let undone = log.lines().filter(|line| line.contains("\"undone\"")).count();
        assert!(undone as u64 >= lighter, "{log}");
        assert!(network.metric(node, "conclave_undone_blocks_total", &[]) >= lighter as f64);
    }
}
