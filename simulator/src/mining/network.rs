//! Nodes with their trees, and the graph along which blocks spread.

use crate::latency::{Regions, below};
use conclave_ledger::{
    block::{Block, Header},
    chain::Chain,
    genesis::{Engine, FORMAT, Genesis, Limits},
    hash::{BlockHash, Hash},
    keys::PublicKey,
    proof_of_work::{Nonce, Parameters, Position, Seal, Tree},
    validators::FaultBound,
};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::{collections::BTreeSet, sync::Arc};

/// Links that each node makes; it has about twice as many, as others make some to it.
pub const NEIGHBOURS: usize = 8;

/// Who is linked to whom, and how long a block takes over each link, in microseconds.
pub struct Graph {
    links: Vec<Vec<(usize, u64)>>,
}

impl Graph {
    /// A random graph of nodes in the regions of a table, in turn. A block passes a link in one message, as blocks are
    /// announced compactly and transactions are known.
    pub fn random(nodes: usize, regions: &'static Regions, random: &mut ChaCha20Rng) -> Self {
        let mut pairs = BTreeSet::new();
        for node in 0..nodes {
            for _ in 0..NEIGHBOURS.min(nodes.saturating_sub(1)) {
                let other = below(nodes as u64, random) as usize;
                if other != node {
                    pairs.insert((node.min(other), node.max(other)));
                }
            }
        }
        let mut links = vec![Vec::new(); nodes];
        for (one, other) in pairs {
            let delay = regions.one_way(one, other).as_micros() as u64;
            links[one].push((other, delay));
            links[other].push((one, delay));
        }
        Self { links }
    }

    pub(super) fn links_of(&self, node: usize) -> &[(usize, u64)] {
        &self.links[node]
    }
}

pub(super) fn parameters() -> Parameters {
    Parameters {
        leading_zero_bits: 1,
        block_interval_ms: 1,
        // So long that the target stays the easiest however the blocks come.
        half_life_ms: 31_536_000_000,
        mine_empty: true,
        depth: 0,
    }
}

pub(super) fn chain() -> Chain {
    Chain::new(Arc::new(Genesis {
        format: FORMAT,
        name: "mined in virtual time".into(),
        engine: Engine::ProofOfWork,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 1,
        created_ms: 0,
        stamp_bits: 0,
        proof_of_work: Some(parameters()),
        limits: Limits::default(),
        validators: Vec::new(),
        senders: Vec::new(),
        records: Vec::new(),
    }))
}

/// A block that `miner` finds after `parent`; its nonce is tried like any other.
pub(super) fn find(network: Hash, parent: &Position, miner: usize, number: u64) -> Arc<Block> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&(miner as u64).to_be_bytes());
    key[8..16].copy_from_slice(&number.to_be_bytes());
    let parameters = parameters();
    let target = parent.next_target(&parameters);
    let mut header = Header {
        network,
        height: parent.height + 1,
        parent: parent.hash,
        leader: PublicKey(key),
        timestamp: parent.timestamp + 1,
        state: Hash::ZERO,
        proofs: Block::proofs_hash(&[]),
        transactions: Block::transactions_root(&[]),
        work: Some(Seal { target, nonce: Nonce([0; 8]) }),
    };
    let met = target.target().unwrap_or(parameters.easiest());
    for nonce in 0u64.. {
        header.work = Some(Seal { target, nonce: Nonce(nonce.to_be_bytes()) });
        if met.is_met_by(&header.hash()) {
            break;
        }
    }
    Arc::new(Block { header, proofs: Vec::new(), transactions: Vec::new() })
}

/// Who mined a block.
pub(super) fn miner_of(header: &Header) -> usize {
    let (number, _) = header.leader.0.split_first_chunk::<8>().expect("a key has 32 bytes");
    u64::from_be_bytes(*number) as usize
}

/// Takes a block into a tree, and follows the best branch; whether the block was new.
pub(super) fn take(tree: &mut Tree, hash: &BlockHash, block: &Arc<Block>) -> bool {
    if tree.block(hash).is_some() || tree.add_block(block.clone()).is_err() {
        return false;
    }
    while let Some(branch) = tree.best() {
        let Some(last) = branch.blocks.last() else { break };
        tree.adopted(last.hash());
    }
    true
}

/// The time until the next block, in microseconds, exponentially distributed around `mean`.
pub(crate) fn exponential(mean_micros: f64, random: &mut ChaCha20Rng) -> u64 {
    // In (0, 1]: the logarithm of none of them is infinite.
    let uniform = ((random.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
    (-uniform.ln() * mean_micros) as u64
}
