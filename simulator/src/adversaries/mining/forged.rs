//! Branches that cost work and hold nothing: headers without a fault over blocks that break a rule of the ledger, from the
//! start of the chain or from its end; and many short branches with less work than the chain has.
//!
//! Where blocks take more than some thousands of hashes none of this is at hand, which is what the work is for.

use super::{announce, announce_to_all, answer, branch::Branch, request, seal};
use crate::adversaries::{Adversary, Moment};
use conclave_ledger::{
    applications::{Payload, records::Record},
    block::{Block, Header},
    bytes::Bytes,
    keys::PublicKey,
    proof_of_work::{Nonce, Position, Seal},
    signed::Height,
    transaction::{Request as Transfer, SharedTransaction},
};
use conclave_protocol::{
    mining::{CompactBlock, Place, Request, Response},
    node::{Effect, Input},
};
use std::sync::Arc;

/// Most blocks of a forged branch.
const MAX_BLOCKS: Height = 64;

/// Blocks that a forged branch is longer than the chain.
const LEAD: Height = 3;

/// Headers of a branch that leads nowhere.
const LOW_HEADERS: Height = 32;

/// Answers that lead nowhere, in a life.
const MAX_ANSWERS: usize = 512;

/// The block after a position, with these transactions; all but its state is as it has to be.
fn next(position: &Position, transactions: Vec<SharedTransaction>, at: &mut Moment<'_>) -> Option<Block> {
    let leader = PublicKey(at.bytes(32).try_into().ok()?);
    let chain = at.node.chain();
    let parameters = chain.genesis().proof_of_work.as_ref()?;
    let mut block = Block {
        header: Header {
            network: chain.network(),
            height: position.height + 1,
            parent: position.hash,
            leader,
            timestamp: position.timestamp + 1,
            state: chain.state_hash(),
            proofs: Block::proofs_hash(&[]),
            transactions: Block::transactions_root(&transactions),
            work: Some(Seal { target: position.next_target(parameters), nonce: Nonce([0; 8]) }),
        },
        proofs: Vec::new(),
        transactions,
    };
    seal(&mut block).then_some(block)
}

/// A transaction whose sender has not signed it.
fn unsigned(at: &mut Moment<'_>) -> SharedTransaction {
    let payload = Payload::Record(Record { kind: "forged".into(), data: Bytes(at.bytes(8)) });
    let (network, expires) = (at.node.chain().network(), at.height() + 100);
    let request = Transfer { network, sender: at.key.public(), expires, payload };
    let mut transaction = request.sign(at.key);
    transaction.signature.0[7] ^= 1;
    transaction.into()
}

/// So many blocks after a position.
fn grow(mut position: Position, count: Height, at: &mut Moment<'_>) -> Vec<Arc<Block>> {
    let mut blocks = Vec::new();
    let genesis = at.node.chain().genesis().clone();
    let Some(parameters) = genesis.proof_of_work.as_ref() else { return blocks };
    for _ in 0..count {
        let transactions = vec![unsigned(at)];
        let Some(block) = next(&position, transactions, at) else { break };
        position = position.after(&block.header, block.hash(), parameters);
        blocks.push(Arc::new(block));
    }
    blocks
}

/// A heavier branch of invalid blocks: see the module.
#[derive(Default)]
pub(in crate::adversaries) struct ForgedChain {
    branch: Branch,
    /// Height of the chain for which there was one.
    of: Height,
}

impl ForgedChain {
    fn forge(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        let height = at.node.chain().tip().height;
        let Some(tip) = at.node.mining().map(|mining| *mining.tree().tip()) else { return Vec::new() };
        if height == self.of || height > MAX_BLOCKS {
            return Vec::new();
        }
        self.of = height;
        let position = if at.one_in(2) { Position::start(at.node.chain().genesis()) } else { tip };
        self.branch.begin(position.height, position.hash);
        let count = height + LEAD - position.height;
        grow(position, count, at).into_iter().for_each(|block| self.branch.push(block));
        let Some(last) = self.branch.blocks().last().cloned() else { return Vec::new() };
        announce_to_all(&last, at)
    }
}

impl Adversary for ForgedChain {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        let mut effects = self.forge(at);
        if !self.branch.has_answered(&effect) {
            effects.push(effect);
        }
        effects
    }

    fn overhear(&mut self, input: &Input, _: &mut Moment<'_>) -> Vec<Effect> {
        self.branch.overhear(input, usize::MAX).into_iter().collect()
    }
}

/// Headers that lead nowhere: see the module.
#[derive(Default)]
pub(in crate::adversaries) struct LowWork {
    branch: Branch,
    answers: usize,
}

impl LowWork {
    /// A short branch from one of the places that were asked about.
    fn headers(&mut self, places: &[Place], at: &mut Moment<'_>) -> Vec<Header> {
        let Some(tree) = at.node.mining().map(|mining| mining.tree()) else { return Vec::new() };
        let tip = tree.tip().height;
        let known: Vec<Position> =
            places.iter().filter_map(|place| tree.position(&place.hash).copied()).collect();
        let start = Position::start(at.node.chain().genesis());
        let from = at.pick(&known).unwrap_or(start);
        let count = tip.saturating_sub(from.height).min(LOW_HEADERS);
        grow(from, count, at).iter().map(|block| block.header.clone()).collect()
    }
}

impl Adversary for LowWork {
    fn effect(&mut self, effect: Effect, _: &mut Moment<'_>) -> Vec<Effect> {
        if self.branch.has_answered(&effect) { Vec::new() } else { vec![effect] }
    }

    fn overhear(&mut self, input: &Input, at: &mut Moment<'_>) -> Vec<Effect> {
        let Some((peer, number, Request::Headers(places))) = request(input) else { return Vec::new() };
        if self.answers >= MAX_ANSWERS {
            return Vec::new();
        }
        self.answers += 1;
        let headers = self.headers(&places, at);
        // And others of which nobody has asked.
        let mut effects = Vec::new();
        for _ in 0..at.below(8) {
            let unasked = self.headers(&places, at).pop();
            let compact = unasked.map(|header| CompactBlock { header, short_ids: vec![0] });
            effects.extend(compact.map(|compact| announce(peer, &compact)));
        }
        self.branch.answered_by_hand(number);
        effects.push(answer(peer, number, &Response::Headers(headers)));
        effects
    }
}
