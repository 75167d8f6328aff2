//! A miner that works on a branch of its own, with its own hash rate and the transactions that wait, and shows it when it
//! suits.
//!
//! Its node follows the chain that all see, and is asked for work as ever; the work is done on the secret branch instead.
//! What is found goes to the branch, and the node hears of it like everybody else, when it is shown.

use super::{announce_to_all, branch::Branch};
use crate::adversaries::{Adversary, Moment};
use conclave_ledger::{
    block::{Block, Decided},
    chain::{Chain, NothingKnown},
    hash::BlockHash,
    proof_of_work::Nonce,
    signed::Height,
};
use conclave_protocol::node::{Effect, Input};
use std::sync::Arc;

/// Blocks that a private chain has at least when it is released.
const LATE_BLOCKS: usize = 3;

/// Blocks that it is ahead of the chain that all see when it is released.
const LATE_LEAD: Height = 2;

/// Blocks of its own after which a branch is given up: nobody goes back further.
const MAX_BLOCKS: usize = 512;

/// When blocks are shown, and what is strange about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::adversaries) enum Policy {
    /// As many as it takes to make the others' work vain: I. Eyal, E. G. Sirer, *Majority is not Enough*, Financial
    /// Cryptography 2014, algorithm 1.
    Selfish,
    /// All at once, when they undo several blocks of the others.
    Late,
    /// At once, with timestamps at the edges of what is allowed, and beyond.
    Edges,
}

/// See the module.
pub(in crate::adversaries) struct Secret {
    policy: Policy,
    branch: Branch,
    /// The chain at the end of the branch.
    chain: Option<Chain>,
    /// How many blocks of the branch are shown.
    shown: usize,
    /// What is worked on, by the number of the work.
    work: Option<(u64, Block)>,
    /// The end of the chain that all see, when it was looked at last.
    seen: (Height, BlockHash),
}

impl Secret {
    pub(in crate::adversaries) fn new(policy: Policy) -> Self {
        Self {
            policy,
            branch: Branch::default(),
            chain: None,
            shown: 0,
            work: None,
            seen: (0, BlockHash::ZERO),
        }
    }

    /// Gives its branch up for the chain that all see.
    fn begin(&mut self, at: &Moment<'_>) {
        let chain = at.node.chain();
        let entries = chain.entries().map(|(key, value)| (key.to_vec(), value.to_vec()));
        self.chain = Chain::restore(chain.genesis().clone(), entries).ok();
        self.branch.begin(chain.tip().height, chain.tip().hash);
        self.shown = 0;
    }

    /// The next block of the branch, without its nonce.
    fn template(&self, at: &mut Moment<'_>) -> Option<Block> {
        let chain = self.chain.as_ref()?;
        let future = chain.genesis().proof_of_work.as_ref()?.future_ms();
        let (parent, now) = (chain.tip().timestamp, at.clock.unix_ms);
        let strange = match self.policy {
            Policy::Edges => at.below(4),
            _ => 4,
        };
        let moment = match strange {
            0 => 0, // One later than the parent's: no block can have an earlier one.
            1 => now + future - future / 10,
            _ => now,
        };
        let mut block = chain.template(at.key.public(), moment, true, at.node.pool().iter())?;
        match strange {
            2 => block.header.timestamp = parent,
            3 => block.header.timestamp = now + 2 * future,
            _ => {}
        }
        Some(block)
    }

    /// A block of its own was found.
    fn found(&mut self, mut block: Block, nonce: u64, at: &mut Moment<'_>) -> Vec<Effect> {
        if let Some(seal) = &mut block.header.work {
            seal.nonce = Nonce(nonce.to_be_bytes());
        }
        let block = Arc::new(block);
        let decided = Decided::Block(block.clone());
        let Some(chain) = &mut self.chain else { return Vec::new() };
        // What breaks a rule is shown, and nothing is built on it.
        if chain.apply(&decided, None, &NothingKnown, false).is_err() || self.policy == Policy::Edges {
            let shows = announce_to_all(&block, at);
            if chain.tip().hash == block.hash() {
                self.branch.push(block);
                self.shown = self.branch.blocks().len();
            }
            return shows;
        }
        self.branch.push(block);
        let public = at.node.chain().tip().height;
        let lead = self.branch.height().saturating_sub(public);
        match self.policy {
            // Both branches were shown and equal: now this one is longer.
            Policy::Selfish
                if self.shown > 0 && self.shown + 1 == self.branch.blocks().len() && lead == 1 =>
            {
                self.show(usize::MAX, at)
            }
            Policy::Late if self.branch.blocks().len() >= LATE_BLOCKS && lead >= LATE_LEAD => {
                self.show(usize::MAX, at)
            }
            _ => Vec::new(),
        }
    }

    /// The chain that all see has another end.
    fn others_found(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        let public = at.node.chain().tip();
        let (height, hash) = (public.height, public.hash);
        let end = self.branch.blocks().last().map(|block| block.hash());
        if self.chain.is_none() || end == Some(hash) || height > self.branch.height() {
            self.begin(at);
            return Vec::new();
        }
        if self.policy != Policy::Selfish || self.branch.blocks().is_empty() {
            return Vec::new();
        }
        match self.branch.height() - height {
            0 | 1 => self.show(usize::MAX, at),
            // One block for each of theirs.
            _ => self.show((height - self.branch.fork().0) as usize, at),
        }
    }

    /// Shows so many blocks of the branch.
    fn show(&mut self, count: usize, at: &mut Moment<'_>) -> Vec<Effect> {
        let count = count.min(self.branch.blocks().len());
        if count <= self.shown {
            return Vec::new();
        }
        self.shown = count;
        self.branch.blocks().get(count - 1).map_or_else(Vec::new, |last| announce_to_all(last, at))
    }

    fn look(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        let tip = at.node.chain().tip();
        let now = (tip.height, tip.hash);
        if self.seen == now && self.chain.is_some() {
            return Vec::new();
        }
        self.seen = now;
        self.others_found(at)
    }
}

impl Adversary for Secret {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        let mut effects = self.look(at);
        if self.branch.has_answered(&effect) {
            return effects;
        }
        let Effect::Mine { ticket, header } = effect else {
            effects.push(effect);
            return effects;
        };
        if self.branch.blocks().len() >= MAX_BLOCKS {
            self.begin(at);
        }
        let template = self.template(at);
        let header = template.as_ref().map_or(header, |block| Box::new(block.header.clone()));
        self.work = template.map(|block| (ticket, block));
        effects.push(Effect::Mine { ticket, header });
        effects
    }

    fn overhear(&mut self, input: &Input, at: &mut Moment<'_>) -> Vec<Effect> {
        let mut effects = self.look(at);
        if let Input::Mined { ticket, nonce } = input
            && let Some((_, block)) = self.work.take_if(|(of, _)| of == ticket)
        {
            effects.extend(self.found(block, *nonce, at));
        }
        effects.extend(self.branch.overhear(input, self.shown));
        effects
    }
}
