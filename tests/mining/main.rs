//! Networks by proof of work, as real processes: elections over forks, halves that find together, liars, restarts.

#![allow(clippy::unwrap_used)]

mod halves;
mod liars;
#[path = "../common/network.rs"]
mod network;
#[path = "../hostile/peer.rs"]
#[allow(dead_code)] // The crowds' and the validators' part is for the other tests.
mod peer;
mod polls;
mod restarts;

use conclave::api::types::{TransactionStatus, WorkStatus};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    hash::Hash,
    keys::SecretKey,
    transaction::{Request, Transaction, find_stamp},
};
use network::{Network, eventually};

/// Blocks come within some milliseconds, so that miners fork now and then.
const EASY: [&str; 10] = [
    "--engine",
    "proof-of-work",
    "--leading-zero-bits",
    "16",
    "--block-interval-ms",
    "200",
    "--half-life-ms",
    "600000",
    "--depth",
    "3",
];

/// A network of miners, none of which runs or knows another but by its configuration.
fn miners(nodes: usize) -> Network {
    let network = Network::make(nodes, &EASY);
    (0..nodes).for_each(|node| network.reset(node));
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
    let genesis = conclave::genesis_file::read(&network.genesis()).unwrap();
    let key = SecretKey::from_seed(Hash::of("test", &[text.as_bytes()]).0);
    let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
    let request = Request { network: genesis.network_id(), sender: key.public(), expires: 1_000, payload };
    let mut transaction = request.sign(&key);
    transaction.stamp = find_stamp(&transaction.id(), genesis.stamp_bits, 0, u64::MAX);
    transaction
}

fn submit(network: &Network, node: usize, transaction: &Transaction) {
    network.block_on(network.client(node).submit(transaction)).unwrap();
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
