//! The tree against a model that knows no shortcut: it replays every branch from the start.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    block::Decided,
    chain::NothingKnown,
    hash::Hash,
    proof_of_work::{
        NotReorganised, Parameters, reorganise,
        testing::{NOW, genesis, mine, mine_blindly, record},
    },
};
use proptest::prelude::*;

fn easy() -> Parameters {
    Parameters {
        leading_zero_bits: 1,
        block_interval_ms: 1_000,
        half_life_ms: 4_000,
        mine_empty: true,
        depth: 0,
    }
}

/// A chain with its tree, as a node holds them.
struct Follower {
    chain: Chain,
    tree: Tree,
    orphans: Vec<Arc<Block>>,
    deepest: usize,
}

impl Follower {
    fn new() -> Self {
        let chain = Chain::new(genesis(easy()));
        let tree = Tree::of(&chain).unwrap();
        Self { chain, tree, orphans: Vec::new(), deepest: 0 }
    }

    fn receive(&mut self, block: &Arc<Block>) {
        self.orphans.push(block.clone());
        while {
            let before = self.orphans.len();
            let tree = &mut self.tree;
            self.orphans.retain(|block| matches!(tree.add_block(block.clone()), Err(HeaderError::Orphan(_))));
            before != self.orphans.len()
        } {}
        self.follow();
    }

    fn follow(&mut self) {
        while let Some(branch) = self.tree.best() {
            match reorganise(&mut self.chain, branch.fork, &branch.blocks, &NothingKnown) {
                Ok(done) => {
                    self.deepest = self.deepest.max(done.undone.len());
                    self.tree.adopted(branch.blocks.last().unwrap().hash());
                }
                Err(NotReorganised::Invalid { hash, .. }) => self.tree.invalidate(hash),
                Err(error) => panic!("{error}"),
            }
            assert_eq!(self.tree.tip(), &self.chain.position().unwrap());
        }
    }
}

/// Replays the branch that ends with `block`, if all of it was delivered and all of it is valid.
fn replay(blocks: &BTreeMap<Hash, Arc<Block>>, block: &Arc<Block>) -> Option<Chain> {
    let mut branch = vec![block.clone()];
    while branch.last()?.header.height > 1 {
        branch.push(blocks.get(&branch.last()?.header.parent)?.clone());
    }
    let mut chain = Chain::new(genesis(easy()));
    for block in branch.into_iter().rev() {
        chain.apply(&Decided::Block(block), None, &NothingKnown, false).ok()?;
    }
    Some(chain)
}

/// How a block comes to be: on which of those before it, how much later, whether its state is a lie.
type Plan = (prop::sample::Index, u64, bool);

/// Blocks on each other as the plans say.
fn grow(plans: &[Plan]) -> Vec<Arc<Block>> {
    let start = Chain::new(genesis(easy()));
    let mut blocks: BTreeMap<Hash, Arc<Block>> = BTreeMap::new();
    let mut positions = vec![start.position().unwrap()];
    let mut all = Vec::new();
    for (number, (parent, later, lies)) in plans.iter().enumerate() {
        // Mostly on one of the last.
        let from = positions.len().saturating_sub(5);
        let parent = positions[from + parent.index(positions.len() - from)];
        let now = parent.timestamp + later;
        let chain = match blocks.get(&parent.hash) {
            Some(parent) => replay(&blocks, parent),
            None => Some(Chain::new(genesis(easy()))),
        };
        let block = match chain.filter(|_| !lies) {
            Some(chain) => {
                let transactions = [record(&chain, &number.to_string())];
                mine(&chain, number as u8, now, &transactions).unwrap()
            }
            None => mine_blindly(&start, &parent, number as u8, now, &[record(&start, &number.to_string())]),
        };
        let hash = block.hash();
        positions.push(parent.after(&block.header, hash, &easy()));
        blocks.insert(hash, block.clone());
        all.push(block);
    }
    all
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    proptest::collection::vec((any::<prop::sample::Index>(), 1u64..3_000, prop::bool::weighted(0.1)), 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In whatever order blocks come, the chain is on the heaviest valid branch of those that are whole, its state is the
    /// one that replaying gives, and it does not leave a branch for another of the same work.
    #[test]
    fn the_heaviest_valid_branch_is_followed(plans in plans(), order in any::<u64>()) {
        let mut blocks = grow(&plans);
        let mut shuffle = order;
        for index in (1..blocks.len()).rev() {
            shuffle = shuffle.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            blocks.swap(index, (shuffle >> 33) as usize % (index + 1));
        }
        let (mut follower, mut delivered) = (Follower::new(), BTreeMap::new());
        for block in blocks {
            let before = *follower.tree.tip();
            delivered.insert(block.hash(), block.clone());
            follower.receive(&block);
            let valid = delivered.values().filter_map(|block| replay(&delivered, block)).map(|chain| chain.position().unwrap());
            let most = valid.map(|position| position.work()).max().unwrap_or(Work::NONE);
            let now = *follower.tree.tip();
            prop_assert_eq!(now.work(), most);
            prop_assert!(now == before || now.work() > before.work());
            let replayed = match delivered.get(&now.hash) {
                Some(tip) => replay(&delivered, tip).unwrap(),
                None => Chain::new(genesis(easy())),
            };
            prop_assert_eq!(follower.chain.state_hash(), replayed.state_hash());
            prop_assert_eq!(follower.chain.tip(), replayed.tip());
            let tree = Tree::of(&follower.chain).unwrap();
            prop_assert_eq!(tree.tip(), follower.tree.tip(), "a restart finds the same chain");
            prop_assert_eq!(&tree.active, &follower.tree.active);
        }
        prop_assert!(follower.tree.side_bytes() < 1 << 20);
    }

    /// Two nodes find the last block that both have, and the one gets the headers that it lacks.
    #[test]
    fn locators_find_the_fork(plans in plans(), first in 0usize..16, second in 0usize..16) {
        let blocks = grow(&plans);
        let follower = |count: usize| {
            let mut follower = Follower::new();
            blocks.iter().take(count).for_each(|block| follower.receive(block));
            follower
        };
        let (mut behind, ahead) = (follower(first), follower(second));
        let headers = ahead.tree.headers_after(&behind.tree.locator(), MAX_HEADERS).unwrap();
        for header in &headers {
            behind.tree.add_header(header).unwrap();
        }
        for height in 1..=ahead.tree.tip().height {
            prop_assert!(behind.tree.position(ahead.tree.active_at(height).unwrap()).is_some());
        }
        if ahead.tree.tip().work() > behind.tree.tip().work() {
            for (_, hash) in behind.tree.missing(usize::MAX) {
                behind.tree.add_block(ahead.tree.block(&hash).unwrap().clone()).unwrap();
            }
            behind.follow();
        }
        prop_assert!(behind.tree.tip().work() >= ahead.tree.tip().work());
    }
}

/// A chain of `count` empty blocks.
fn chain_of(count: u64) -> Follower {
    let mut follower = Follower::new();
    for number in 1..=count {
        let block = mine(&follower.chain, 1, NOW + 1_000 * number, &[]).unwrap();
        follower.receive(&block);
    }
    follower
}

#[test]
fn the_window_moves_on_and_what_forks_off_below_it_is_too_old() {
    let window = MAX_REORGANISATION as u64;
    let mut follower = Follower::new();
    let first = mine(&follower.chain, 1, NOW + 1_000, &[]).unwrap();
    let rival = mine(&follower.chain, 2, NOW + 1_000, &[]).unwrap();
    follower.receive(&first);
    follower.receive(&rival);
    assert_eq!(follower.tree.len(), 3);
    for number in 2..=window + 2 {
        let block = mine(&follower.chain, 1, NOW + 1_000 * number, &[]).unwrap();
        follower.receive(&block);
    }
    assert_eq!(follower.tree.root().height, 2);
    assert_eq!(follower.tree.len(), MAX_REORGANISATION + 1, "the rival is gone with the root");
    assert_eq!(follower.tree.add_block(rival), Err(HeaderError::TooOld(1)));
    assert_eq!(follower.tree.side_bytes(), 0);
    let locator = follower.tree.locator();
    assert!(locator.len() < 24, "{}", locator.len());
    assert_eq!(locator.last().unwrap().0, 2, "it ends with the root");
    assert_eq!(follower.tree.headers_after(&[], 10), None, "a newcomer is answered from the disk");
    assert_eq!(follower.tree.headers_after(&locator[5..], 100).unwrap().len(), 5);
}

#[test]
fn floods_push_out_what_has_the_least_work_and_never_the_chain() {
    let mut follower = chain_of(5);
    let start = Chain::new(genesis(easy()));
    let tip = *follower.tree.tip();
    let honest = mine_blindly(&start, &tip, 1, tip.timestamp + 1_000, &[]);
    follower.tree.add_header(&honest.header).unwrap();
    let parent = start.position().unwrap();
    for number in 0..(MAX_HEADERS as u64 + 100) {
        let block = mine_blindly(&start, &parent, (number % 256) as u8, NOW + 1 + number, &[]);
        follower.tree.add_header(&block.header).unwrap();
    }
    assert_eq!(follower.tree.len(), MAX_HEADERS);
    assert_eq!(follower.tree.best_header().hash, honest.hash());
    assert_eq!(follower.tree.missing(10), [(6, honest.hash())]);
}

#[test]
fn an_invalid_block_is_not_taken_twice_nor_what_follows_it() {
    let mut follower = chain_of(2);
    let start = Chain::new(genesis(easy()));
    let tip = *follower.tree.tip();
    let bad = mine_blindly(&start, &tip, 1, tip.timestamp + 1, &[]);
    let position = tip.after(&bad.header, bad.hash(), &easy());
    let child = mine_blindly(&start, &position, 1, position.timestamp + 1, &[]);
    follower.tree.add_header(&bad.header).unwrap();
    follower.tree.add_header(&child.header).unwrap();
    follower.receive(&bad);
    assert_eq!(follower.tree.len(), 3);
    assert_eq!(follower.tree.add_header(&bad.header), Err(HeaderError::OnInvalid));
    assert_eq!(follower.tree.add_header(&child.header), Err(HeaderError::OnInvalid));
    assert_eq!(follower.tree.tip(), &tip);
}

#[test]
fn a_withheld_branch_counts_for_nothing_until_its_block_comes() {
    let mut follower = chain_of(2);
    let chain = &follower.chain;
    let tip = *follower.tree.tip();
    let hidden = mine(chain, 1, tip.timestamp + 1_000, &[]).unwrap();
    let position = tip.after(&hidden.header, hidden.hash(), &easy());
    let child = mine_blindly(chain, &position, 1, position.timestamp + 1_000, &[]);
    let rival = mine(chain, 2, tip.timestamp + 1_000, &[]).unwrap();
    for header in [&hidden.header, &child.header, &rival.header] {
        follower.tree.add_header(header).unwrap();
    }
    let tree = &mut follower.tree;
    assert_eq!(tree.best_header().hash, child.hash());
    assert_eq!(tree.missing(10), [(3, hidden.hash()), (4, child.hash()), (3, rival.hash())]);
    assert!(tree.is_next(&hidden.hash()) && !tree.is_next(&child.hash()));
    tree.withhold(hidden.hash());
    assert!(tree.is_withheld(&child.hash()) && !tree.is_withheld(&rival.hash()));
    assert_eq!(tree.best_header().hash, rival.hash());
    assert_eq!(tree.missing(10), [(3, rival.hash()), (3, hidden.hash())], "it is wanted last");
    // What follows it is withheld, too.
    let position = position.after(&child.header, child.hash(), &easy());
    let grandchild =
        mine_blindly(&Chain::new(genesis(easy())), &position, 1, position.timestamp + 1_000, &[]);
    tree.add_header(&grandchild.header).unwrap();
    assert_eq!(tree.best_header().hash, rival.hash());
    tree.add_block(hidden.clone()).unwrap();
    assert_eq!(tree.best_header().hash, grandchild.hash());
    assert_eq!(tree.missing(1), [(4, child.hash())]);
    follower.follow();
    assert_eq!(follower.tree.tip().hash, hidden.hash());
}

/// Easy blocks, each of which has little work: more than can be tried at once, before they outweigh a few hard ones.
#[test]
fn a_heavier_branch_that_is_too_long_to_be_tried_counts_for_nothing() {
    let mut follower = Follower::new();
    let start = Chain::new(genesis(easy()));
    while follower.tree.tip().work() <= work_of_easy(MAX_REORGANISATION) {
        let now = follower.tree.tip().timestamp + 1;
        let block = mine(&follower.chain, 1, now, &[]).unwrap();
        follower.receive(&block);
    }
    let tip = *follower.tree.tip();
    let (mut position, mut parent) = (start.position().unwrap(), None);
    while position.work() <= tip.work() {
        let block = mine_blindly(&start, &position, 2, position.timestamp + 1_000_000, &[]);
        position = position.after(&block.header, block.hash(), &easy());
        parent = parent.or(Some(block.hash()));
        follower.tree.add_block(block).unwrap();
    }
    let tree = &mut follower.tree;
    assert!(position.height > MAX_REORGANISATION as u64);
    assert_eq!((tree.best(), tree.best_header().hash), (None, position.hash));
    assert_eq!((tree.pass_over_too_long(), tree.pass_over_too_long()), (parent, None));
    assert_eq!((tree.best_header().hash, tree.missing(10)), (tip.hash, Vec::new()));
}

/// The work of so many blocks of the least work.
fn work_of_easy(blocks: usize) -> Work {
    let each = easy().easiest().work();
    (0..blocks).fold(Work::NONE, |work, _| work.plus(&each))
}
