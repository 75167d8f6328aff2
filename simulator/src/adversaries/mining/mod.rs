//! Misbehaviour of nodes that mine, and the frames that it is made of.
//!
//! - `tamper.rs`: blocks, headers and transactions that are changed on their way.
//! - `secret.rs`: a branch of its own, mined with its own hash rate and shown when it suits: selfish mining, a private
//!   chain that is released late, timestamps at the edges.
//! - `forged.rs`: branches whose headers are good and whose blocks are not, and floods of headers that lead nowhere.

mod branch;
pub(super) mod forged;
pub(super) mod secret;
pub(super) mod tamper;

use super::Moment;
use conclave_ledger::{
    block::Block,
    codec,
    proof_of_work::{Nonce, SealSearch},
};
use conclave_protocol::{
    mining::{CompactBlock, MAX_COMPACT_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Request, Response},
    node::{Channel, Effect, Input, Protocol},
    peer::Peer,
};

/// Attempts for a block that is made up: on a network whose blocks cost more, none is.
const MAX_ATTEMPTS: u64 = 1 << 20;

/// The announcement of a block that an effect sends, and to whom.
fn announcement(effect: &Effect) -> Option<(Peer, CompactBlock)> {
    match effect {
        Effect::Send { peer, channel: Channel::Consensus, bytes, .. } => {
            Some((*peer, codec::decode(bytes, MAX_COMPACT_BYTES).ok()?))
        }
        _ => None,
    }
}

/// The request of a peer that an input brings, with its number.
fn request(input: &Input) -> Option<(Peer, u64, Request)> {
    match input {
        Input::Request { peer, protocol: Protocol::Sync, number, bytes } => {
            Some((*peer, *number, codec::decode(bytes, MAX_REQUEST_BYTES).ok()?))
        }
        _ => None,
    }
}

/// The answer that an effect gives, with the number of the request.
fn response(effect: &Effect) -> Option<(Peer, u64, Response)> {
    match effect {
        Effect::Respond { peer, protocol: Protocol::Sync, number, bytes } => {
            Some((*peer, *number, codec::decode(bytes, MAX_RESPONSE_BYTES).ok()?))
        }
        _ => None,
    }
}

fn announce(peer: Peer, compact: &CompactBlock) -> Effect {
    let bytes = codec::encode(compact).into();
    Effect::Send { peer, channel: Channel::Consensus, bulk: false, bytes }
}

/// The announcement of a block to all peers.
fn announce_to_all(block: &Block, at: &Moment<'_>) -> Vec<Effect> {
    let compact = CompactBlock::of(block);
    at.node.peers().keys().map(|peer| announce(*peer, &compact)).collect()
}

fn answer(peer: Peer, number: u64, response: &Response) -> Effect {
    Effect::Respond { peer, protocol: Protocol::Sync, number, bytes: codec::encode(response) }
}

/// Gives a block the nonce that its target asks for; whether there is one within reason.
fn seal(block: &mut Block) -> bool {
    let found = SealSearch::new(&block.header).and_then(|mut search| search.find(0, MAX_ATTEMPTS));
    let Some((nonce, seal)) = found.zip(block.header.work.as_mut()) else { return false };
    seal.nonce = Nonce(nonce.to_be_bytes());
    true
}
