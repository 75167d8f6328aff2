//! Networks by proof of work, as real processes: elections over forks, halves that find together, restarts; liars, private
//! chains, tampered branches, hidden blocks, floods of headers, timestamps at the edges, eclipses.

#![allow(clippy::unwrap_used)]

mod branch;
mod eclipse;
mod flood;
mod halves;
mod hidden_blocks;
mod liars;
#[path = "../common/network.rs"]
mod network;
mod offer;
#[path = "../hostile/peer.rs"]
#[allow(dead_code)] // The crowds' and the validators' part is for the other tests.
mod peer;
mod polls;
mod private_chain;
mod restarts;
mod tampered_chain;
mod timestamps;

use conclave::api::types::{TransactionStatus, WorkStatus};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    genesis::Genesis,
    hash::Hash,
    keys::SecretKey,
    transaction::{Request, Transaction, find_stamp},
};
use network::{Network, eventually};

/// Options of a network whose hashes begin with so many zero bits.
const fn options(leading_zero_bits: &'static str) -> [&'static str; 10] {
    [
        "--engine",
        "proof-of-work",
        "--leading-zero-bits",
        leading_zero_bits,
        "--block-interval-ms",
        "200",
        "--half-life-ms",
        "600000",
        "--depth",
        "3",
    ]
}

/// Blocks come within some milliseconds, so that miners fork now and then.
const EASY: [&str; 10] = options("16");

/// Blocks cost next to nothing, so that long branches do, too. For networks of one node, as miners would fork all the time.
const TRIVIAL: [&str; 10] = options("6");

/// A network of miners, none of which runs or knows another but by its configuration.
fn miners(nodes: usize) -> Network {
    miners_with(nodes, &EASY)
}

fn miners_with(nodes: usize, arguments: &[&str]) -> Network {
    let network = Network::make(nodes, arguments);
    (0..nodes).for_each(|node| network.reset(node));
    network
}

/// A node by itself, with blocks that cost next to nothing.
fn running_alone() -> Network {
    let mut network = miners_with(1, &TRIVIAL);
    network.run(0);
    network.wait_connected(0, 0);
    network
}

/// The same, all running and connected.
fn running(nodes: usize) -> Network {
    let mut network = miners(nodes);
    (0..nodes).for_each(|node| network.run(node));
    (0..nodes).for_each(|node| network.wait_connected(node, nodes - 1));
    network
}

/// A record by a stranger, with the stamp that it needs.
fn record(network: &Network, text: &str) -> Transaction {
    record_in(&conclave::genesis_file::read(&network.genesis()).unwrap(), text, 1_000)
}

/// The same, valid up to the height `expires`.
fn record_in(genesis: &Genesis, text: &str, expires: u64) -> Transaction {
    let key = SecretKey::from_seed(Hash::of("test", &[text.as_bytes()]).0);
    let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
    let request = Request { network: genesis.network_id(), sender: key.public(), expires, payload };
    let mut transaction = request.sign(&key);
    transaction.stamp = find_stamp(&transaction.id(), genesis.stamp_bits, 0, u64::MAX);
    transaction
}

/// Waits until a node answers, and gives its height.
fn wait_up(network: &Network, node: usize) -> u64 {
    let status = || network.block_on(network.client(node).status()).ok();
    eventually("the node answers", status).height
}

fn submit(network: &Network, node: usize, transaction: &Transaction) {
    wait_up(network, node);
    network.block_on(network.client(node).submit(transaction)).unwrap();
}

/// Submits so many records by turns and waits until each is mined.
fn mined_records(network: &Network, nodes: usize, count: usize) -> Vec<Transaction> {
    (0..count)
        .map(|number| {
            let record = record(network, &format!("record {number}"));
            submit(network, number % nodes, &record);
            wait_mined(network, number % nodes, &record);
            record
        })
        .collect()
}

fn wait_mined(network: &Network, node: usize, transaction: &Transaction) {
    eventually("it is mined", || (confirmations(network, node, &transaction.id()) > 0).then_some(()));
}

/// A record that is submitted now is mined, and no process has panicked.
fn check_undisturbed(network: &Network, nodes: usize, what: &str) {
    let height = wait_up(network, 0);
    let genesis = conclave::genesis_file::read(&network.genesis()).unwrap();
    let record = record_in(&genesis, what, height + 500);
    submit(network, nodes - 1, &record);
    (0..nodes).for_each(|node| wait_mined(network, node, &record));
    for node in 0..nodes {
        let log = network.log(node);
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Confirmations of a transaction at a node; 0 while it waits.
fn confirmations(network: &Network, node: usize, id: &Hash) -> u64 {
    match network.block_on(network.client(node).transaction(id)).map(|info| info.status) {
        Ok(TransactionStatus::Decided { depth, .. }) => depth,
        _ => 0,
    }
}

fn work(network: &Network, node: usize) -> WorkStatus {
    network.block_on(network.client(node).status()).unwrap().proof_of_work.unwrap()
}

/// Waits until all nodes are on one chain that rests, and gives its height.
fn wait_rest(network: &Network, nodes: &[usize]) -> u64 {
    eventually("all nodes are on one chain that rests", || {
        let tips: Option<Vec<_>> = nodes
            .iter()
            .map(|node| {
                let status = network.block_on(network.client(*node).status()).ok()?;
                let rests = status.pool.transactions == 0 && !status.proof_of_work.as_ref()?.mining;
                rests.then_some((status.height, status.hash, status.state))
            })
            .collect();
        let tips = tips?;
        tips.iter().all(|tip| *tip == tips[0]).then(|| tips[0].0)
    })
}
