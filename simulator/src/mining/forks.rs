//! How often chains fork, against the interval between blocks.

use super::network::{Graph, chain, exponential, find, take};
use crate::latency::{FIVE_REGIONS, below};
use conclave_ledger::{
    block::Block,
    hash::{BlockHash, Hash},
    proof_of_work::Tree,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forks {
    /// Nodes, each with the same share of the hash rate.
    pub nodes: usize,
    /// Blocks that are found.
    pub blocks: u64,
    /// Time between two of them on average, in milliseconds.
    pub interval_ms: u64,
    /// Seed of everything that is left to chance.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForkPoint {
    /// Time between two blocks on average, in milliseconds.
    pub interval_ms: u64,
    /// Time that a block takes to reach a node, on average over nodes and blocks, in milliseconds: `∫ (1 − f(t)) dt`.
    pub spread_ms: f64,
    /// Share of the blocks during whose spread another one was found by a node that had it not.
    pub measured: f64,
    /// The same by the formula.
    pub predicted: f64,
    /// Share of the blocks that are not on the chain at the end.
    pub stale: f64,
    /// The deepest reorganisation of any node, in blocks.
    pub deepest: u64,
}

/// A block on its way, or the next one to be found.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Found,
    Arrives { at: usize, block: u64 },
}

struct Found {
    hash: BlockHash,
    block: Arc<Block>,
    at: u64,
    missing: usize,
    /// Sum of the times that it took to each node, in microseconds.
    spread: u64,
    is_contested: bool,
}

/// Simulates one interval.
pub fn forks(what: &Forks) -> ForkPoint {
    let mut random = ChaCha20Rng::seed_from_u64(what.seed);
    let graph = Graph::random(what.nodes, &FIVE_REGIONS, &mut random);
    let chain = chain();
    let mut trees: Vec<Tree> = (0..what.nodes).filter_map(|_| Tree::of(&chain)).collect();
    let mean = what.interval_ms as f64 * 1000.0;
    let mut events = BinaryHeap::from([Reverse((exponential(mean, &mut random), 0u64, Event::Found))]);
    let (mut blocks, mut order): (BTreeMap<u64, Found>, u64) = (BTreeMap::new(), 0);
    let (mut spreads, mut contested, mut ended, mut deepest) = (0, 0, 0, 0);
    let mut number = 0;
    while let Some(Reverse((now, _, event))) = events.pop() {
        let (node, id) = match event {
            Event::Found if number == what.blocks => continue,
            Event::Found => {
                let node = below(what.nodes as u64, &mut random) as usize;
                number += 1;
                let block = find(chain.network(), trees[node].tip(), node, number);
                let hash = block.hash();
                for earlier in blocks.values_mut() {
                    // It is contested if its finder has it not yet.
                    earlier.is_contested |= trees[node].block(&earlier.hash).is_none();
                }
                let missing = what.nodes;
                let found = Found { hash, block, at: now, missing, spread: 0, is_contested: false };
                blocks.insert(number, found);
                order += 1;
                let next = now + exponential(mean, &mut random);
                events.push(Reverse((next, order, Event::Found)));
                (node, number)
            }
            Event::Arrives { at, block } => (at, block),
        };
        let Some(found) = blocks.get_mut(&id) else { continue };
        let before = *trees[node].tip();
        if !take(&mut trees[node], &found.hash, &found.block) {
            continue;
        }
        deepest = deepest.max(depth_of(&trees[node], before.hash, before.height));
        found.missing -= 1;
        found.spread += now - found.at;
        if found.missing == 0 {
            spreads += found.spread;
            contested += u64::from(found.is_contested);
            ended += 1;
            blocks.remove(&id);
        }
        for (neighbour, delay) in graph.links_of(node) {
            order += 1;
            let (jittered, arrives) = (*delay + below(delay / 20 + 1, &mut random), *neighbour);
            events.push(Reverse((now + jittered, order, Event::Arrives { at: arrives, block: id })));
        }
    }
    let spread_ms = spreads as f64 / (ended.max(1) * what.nodes as u64) as f64 / 1000.0;
    let height = trees.first().map_or(0, |tree| tree.tip().height);
    ForkPoint {
        interval_ms: what.interval_ms,
        spread_ms,
        measured: contested as f64 / ended.max(1) as f64,
        predicted: 1.0 - (-spread_ms / what.interval_ms as f64).exp(),
        stale: (number - height.min(number)) as f64 / number.max(1) as f64,
        deepest,
    }
}

/// How many blocks a node has undone whose tip was `before`.
fn depth_of(tree: &Tree, before: Hash, height: u64) -> u64 {
    if tree.is_active(&before) || height == 0 {
        return 0;
    }
    // Back from the old tip to the chain.
    let (mut depth, mut at) = (0, before);
    while !tree.is_active(&at) {
        let Some(block) = tree.block(&at) else { break };
        (at, depth) = (block.header.parent, depth + 1);
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The measured rate is the formula's within three standard deviations of so many blocks.
    #[test]
    fn forks_are_as_frequent_as_the_formula_says() {
        for interval_ms in [500, 2_000] {
            let blocks = 400;
            let point = forks(&Forks { nodes: 50, blocks, interval_ms, seed: 7 });
            let deviation = (point.predicted * (1.0 - point.predicted) / blocks as f64).sqrt();
            let off = (point.measured - point.predicted).abs();
            assert!(off < 3.0 * deviation + 0.01, "{point:?}, {deviation}");
            assert!(point.stale <= point.measured + 0.01, "{point:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let what = Forks { nodes: 20, blocks: 100, interval_ms: 300, seed: 3 };
        assert_eq!(forks(&what), forks(&what));
        assert_ne!(forks(&what), forks(&Forks { seed: 4, ..what }));
    }
}
