//! What several adversaries make: blocks of which the header differs, and messages about them.

use super::Moment;
use conclave_ledger::{
    block::{Block, Header},
    hash::{BlockHash, Hash},
    signed::{Kind, SignatureSet, Value},
};
use conclave_protocol::consensus::Message;
use std::sync::Arc;

/// The same block with another header.
pub(super) fn with_header(block: &Block, change: impl FnOnce(&mut Header)) -> Arc<Block> {
    let mut changed = block.clone();
    change(&mut changed.header);
    Arc::new(changed)
}

/// Another block by the same leader that is as valid as `block`.
pub(super) fn twin(block: &Block, number: u64) -> Arc<Block> {
    with_header(block, |header| header.timestamp = header.timestamp.saturating_add(number))
}

/// Whether a message is the proposal of a block by the adversary itself.
pub(super) fn own_block(message: &Message, at: &Moment<'_>) -> Option<Arc<Block>> {
    match message {
        Message::Block(block)
            if block.header.leader == at.key.public() && block.header.height == at.height() =>
        {
            Some(block.clone())
        }
        _ => None,
    }
}

/// A chain on `block` by the adversary alone, with its vote, whatever it has voted for already.
pub(super) fn own_chain(block: &Block, at: &Moment<'_>) -> Message {
    let (height, hash) = (block.header.height, block.hash());
    let votes = at.sign(height, Kind::Vote, Value::Block(hash));
    Message::Chain { height, block: hash, votes, endorsements: SignatureSet::default() }
}

/// The hash of nothing.
pub(super) fn unknown_block(at: &mut Moment<'_>) -> BlockHash {
    let mut hash = Hash::ZERO;
    hash.0.copy_from_slice(&at.bytes(32));
    hash
}
