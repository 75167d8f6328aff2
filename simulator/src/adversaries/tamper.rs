//! Tamper: transactions, blocks and answers are changed on their way, and what was signed is not signed again.
//!
//! A transaction's signature shows it. A block's hash covers its header only, so a changed body has the hash of the
//! good one; that it does not fit the header's roots shows it.

use super::{
    Adversary, Moment,
    moment::{consensus, transactions},
};
use conclave_ledger::{
    block::Block,
    codec,
    transaction::{SharedTransaction, Transaction},
};
use conclave_protocol::{
    consensus::Message,
    dissemination,
    node::{Channel, Effect, Protocol},
    sync::{MAX_RESPONSE_BYTES, Response},
};
use std::sync::Arc;

/// See the module.
#[derive(Default)]
pub(super) struct Tamper;

/// The transaction with something changed.
fn changed(transaction: &Transaction, at: &mut Moment<'_>) -> SharedTransaction {
    let mut changed = transaction.clone();
    match at.below(4) {
        0 => changed.request.expires = changed.request.expires.saturating_add(1),
        1 => changed.request.sender = at.key.public(),
        2 => changed.signature.0[at.below(64)] ^= 1 << at.below(8),
        _ => {
            let record = conclave_ledger::applications::records::Record {
                kind: "tampered".into(),
                data: conclave_ledger::bytes::Bytes(at.bytes(8)),
            };
            changed.request.payload = conclave_ledger::applications::Payload::Record(record);
        }
    }
    changed.into()
}

fn change_one(list: &mut [SharedTransaction], at: &mut Moment<'_>) {
    let place = at.below(list.len());
    if let Some(transaction) = list.get_mut(place) {
        *transaction = changed(transaction, at);
    }
}

/// The block with the same header and another body.
fn other_body(block: &Block, at: &mut Moment<'_>) -> Arc<Block> {
    let mut block = block.clone();
    match at.below(4) {
        0 if block.transactions.len() > 1 => {
            block.transactions.pop();
        }
        1 => block.transactions.extend(block.transactions.first().cloned()),
        2 if !block.proofs.is_empty() => block.proofs.clear(),
        _ => change_one(&mut block.transactions, at),
    }
    Arc::new(block)
}

impl Tamper {
    fn frame(effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        if let Effect::Send { peer, channel: Channel::Transactions, bytes, .. } = &effect {
            let message = codec::decode(bytes, dissemination::MAX_MESSAGE_BYTES);
            return match message {
                Ok(dissemination::Message::Transactions(mut list)) => {
                    change_one(&mut list, at);
                    vec![transactions(*peer, &dissemination::Message::Transactions(list))]
                }
                _ => vec![effect],
            };
        }
        match at.sends(&effect) {
            Some((peer, Message::Block(block))) => {
                vec![consensus(peer, &Message::Block(other_body(&block, at)))]
            }
            _ => vec![effect],
        }
    }
}

impl Adversary for Tamper {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        let Effect::Respond { peer, protocol: Protocol::Sync, number, bytes } = &effect else {
            return Self::frame(effect, at);
        };
        let (peer, protocol, number) = (*peer, Protocol::Sync, *number);
        match codec::decode(bytes, MAX_RESPONSE_BYTES) {
            Ok(Response::Block(Some(block))) => {
                let response = Response::Block(Some(other_body(&block, at)));
                vec![Effect::Respond { peer, protocol, number, bytes: codec::encode(&response) }]
            }
            _ => vec![effect],
        }
    }

    /// It also sends the bodies of others' blocks on, changed, to whoever may not have them yet.
    fn overhear(&mut self, input: &conclave_protocol::node::Input, at: &mut Moment<'_>) -> Vec<Effect> {
        let Some((from, Message::Block(block))) = at.hears(input) else { return Vec::new() };
        if block.header.height != at.height() {
            return Vec::new();
        }
        let body = Message::Block(other_body(&block, at));
        let others = at.victims().into_iter().filter(|peer| *peer != from);
        others.map(|peer| consensus(peer, &body)).collect()
    }
}
