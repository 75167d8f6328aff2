//! Equivocate: a leader that signs two blocks, both of them valid, and shows one to some and the other to others.
//!
//! Honest validators pass chains on, so each of them sees both signatures: all extract two blocks and skip, and the
//! two signatures are evidence.

use super::{
    Adversary, Moment,
    forge::{own_block, own_chain, twin},
    moment::consensus,
};
use conclave_ledger::{block::Block, signed::Height};
use conclave_protocol::{consensus::Message, node::Effect, peer::Peer};
use std::{collections::BTreeMap, sync::Arc};

/// Which of the two blocks a validator is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    First,
    Second,
    Both,
    /// The first one's chain and the second one's body.
    Mixed,
}

/// See the module.
#[derive(Default)]
pub(super) struct Equivocate {
    height: Height,
    blocks: Option<(Arc<Block>, Arc<Block>)>,
    shown: BTreeMap<Peer, Shown>,
}

impl Equivocate {
    /// Decides who is shown what at a height of its own. There is always one for whom the second block is the only one.
    fn begin(&mut self, block: &Arc<Block>, at: &mut Moment<'_>) {
        if self.height == block.header.height {
            return;
        }
        let number = 1 + at.below(3) as u64;
        (self.height, self.blocks) = (block.header.height, Some((block.clone(), twin(block, number))));
        let peers = at.validators().into_iter().map(|(peer, _)| peer).collect();
        let peers = at.shuffled(peers);
        let half = peers.len().div_ceil(2);
        self.shown.clear();
        for (place, peer) in peers.into_iter().enumerate() {
            let shown = match (place, at.below(8)) {
                (0, _) => Shown::Second,
                (_, 0) => Shown::Both,
                (_, 1) => Shown::Mixed,
                (place, _) if place < half => Shown::Second,
                _ => Shown::First,
            };
            self.shown.insert(peer, shown);
        }
    }

    fn proposal(&self, peer: Peer, is_body: bool, original: Effect, at: &Moment<'_>) -> Vec<Effect> {
        let Some((_, second)) = &self.blocks else { return vec![original] };
        let other = if is_body { Message::Block(second.clone()) } else { own_chain(second, at) };
        let other = consensus(peer, &other);
        match self.shown.get(&peer).copied().unwrap_or(Shown::First) {
            Shown::First => vec![original],
            Shown::Second => vec![other],
            Shown::Both => vec![original, other],
            Shown::Mixed if is_body => vec![other],
            Shown::Mixed => vec![original],
        }
    }
}

impl Adversary for Equivocate {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        let Some((peer, message)) = at.sends(&effect) else { return vec![effect] };
        if let Some(block) = own_block(&message, at) {
            self.begin(&block, at);
        }
        let first = self.blocks.as_ref().map(|(first, _)| first.hash());
        match message {
            Message::Block(block) if first == Some(block.hash()) => self.proposal(peer, true, effect, at),
            Message::Chain { block, .. } if first == Some(block) => self.proposal(peer, false, effect, at),
            _ => vec![effect],
        }
    }
}
