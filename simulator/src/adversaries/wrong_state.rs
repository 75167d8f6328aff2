//! Wrong state: a leader whose block breaks a rule of the ledger, signed all the same.
//!
//! Everybody extracts it, nobody votes for it, and it is never decided (rule E3).

use super::{
    Adversary, Moment,
    forge::{own_block, own_chain, with_header},
    moment::consensus,
};
use conclave_ledger::{block::Block, hash::BlockHash, signed::Height};
use conclave_protocol::{consensus::Message, node::Effect};
use std::sync::Arc;

/// See the module.
#[derive(Default)]
pub(super) struct WrongState {
    height: Height,
    blocks: Option<(BlockHash, Arc<Block>)>,
}

/// A block of the same body that breaks one rule: most often that of the state hash.
fn broken(block: &Block, at: &mut Moment<'_>) -> Arc<Block> {
    let parent_time = at.node.chain().tip().timestamp;
    let other = super::forge::unknown_block(at);
    let rule = at.below(10);
    let ahead = 2 * at.delta().as_millis() as u64 + 1000;
    let next = at.validators().first().map(|(_, key)| *key);
    with_header(block, |header| match rule {
        0 => header.parent = other,
        1 => header.timestamp = parent_time,
        2 => header.transactions = other,
        3 => header.proofs = other,
        4 => header.leader = next.unwrap_or(header.leader),
        // Valid, but not timely: nobody votes for it either.
        5 => header.timestamp = header.timestamp.saturating_add(ahead),
        _ => header.state = other,
    })
}

impl Adversary for WrongState {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        let Some((peer, message)) = at.sends(&effect) else { return vec![effect] };
        if let Some(block) = own_block(&message, at)
            && self.height != block.header.height
        {
            self.height = block.header.height;
            self.blocks = Some((block.hash(), broken(&block, at)));
        }
        let Some((good, bad)) = &self.blocks else { return vec![effect] };
        match message {
            Message::Block(block) if block.hash() == *good => {
                vec![consensus(peer, &Message::Block(bad.clone()))]
            }
            Message::Chain { block, .. } if block == *good => vec![consensus(peer, &own_chain(bad, at))],
            _ => vec![effect],
        }
    }
}
