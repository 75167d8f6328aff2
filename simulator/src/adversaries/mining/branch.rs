//! A branch that its maker serves in the place of its node, which knows nothing of it.

use super::{answer, request};
use conclave_ledger::{
    block::Block,
    hash::{BlockHash, Hash},
    signed::Height,
};
use conclave_protocol::{
    mining::{self, Request},
    node::{Effect, Input},
};
use std::{collections::BTreeSet, sync::Arc};

/// Most answers of the node that are waited for, to be thrown away.
const MAX_ANSWERED: usize = 1_024;

/// See the module.
pub(super) struct Branch {
    /// The block that it grows from.
    fork: (Height, BlockHash),
    blocks: Vec<Arc<Block>>,
    /// Requests that were answered here, so that the node's own answers are thrown away.
    answered: BTreeSet<u64>,
}

impl Default for Branch {
    fn default() -> Self {
        Self { fork: (0, Hash::ZERO), blocks: Vec::new(), answered: BTreeSet::new() }
    }
}

impl Branch {
    /// Begins anew, on this block.
    pub(super) fn begin(&mut self, height: Height, hash: Hash) {
        (self.fork, self.blocks) = ((height, hash), Vec::new());
    }

    pub(super) fn push(&mut self, block: Arc<Block>) {
        self.blocks.push(block);
    }

    /// Its blocks, the lowest first.
    pub(super) fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// Height of its end.
    pub(super) fn height(&self) -> Height {
        self.fork.0 + self.blocks.len() as Height
    }

    /// The block that it grows from.
    pub(super) fn fork(&self) -> (Height, BlockHash) {
        self.fork
    }

    /// Answers what a peer asks of the first `shown` blocks; whatever else is asked is left to the node.
    pub(super) fn overhear(&mut self, input: &Input, shown: usize) -> Option<Effect> {
        let (peer, number, request) = request(input)?;
        let shown = &self.blocks[..shown.min(self.blocks.len())];
        let (first, last) = shown.first().zip(shown.last())?;
        let here = first.header.height..=last.header.height;
        let is_here = |height: Height, hash: &BlockHash| {
            here.contains(&height)
                && shown.iter().any(|block| block.header.height == height && block.hash() == *hash)
        };
        let concerns = match &request {
            // Who already has the block that it grows from asks for what follows.
            Request::Headers(places) => places
                .iter()
                .any(|place| (place.height, place.hash) == self.fork || is_here(place.height, &place.hash)),
            Request::Blocks(places) => places.iter().any(|place| is_here(place.height, &place.hash)),
            Request::Transactions { block, .. } => is_here(block.height, &block.hash),
        };
        if !concerns || self.answered.len() >= MAX_ANSWERED {
            return None;
        }
        // The place that it grows from is known by its height alone: there is no block of it here.
        let request = match request {
            Request::Headers(places) => {
                let known = places.into_iter().filter(|place| is_here(place.height, &place.hash)).collect();
                Request::Headers(known)
            }
            other => other,
        };
        let read = |height: Height| shown.iter().find(|block| block.header.height == height).cloned();
        let response = match &request {
            Request::Headers(places) if places.is_empty() => mining::Response::Headers(
                shown.iter().map(|block| block.header.clone()).take(mining::MAX_HEADERS_ANSWERED).collect(),
            ),
            request => mining::respond(request, read),
        };
        self.answered_by_hand(number);
        Some(answer(peer, number, &response))
    }

    /// A request was answered by whoever holds this; the node's own answer is thrown away.
    pub(super) fn answered_by_hand(&mut self, number: u64) {
        if self.answered.len() < MAX_ANSWERED {
            self.answered.insert(number);
        }
    }

    /// Whether an effect is the node's own answer to what was answered here.
    pub(super) fn has_answered(&mut self, effect: &Effect) -> bool {
        match effect {
            Effect::Respond { number, .. } | Effect::Ignore { number } => self.answered.remove(number),
            _ => false,
        }
    }
}
