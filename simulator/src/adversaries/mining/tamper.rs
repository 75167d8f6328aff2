//! Tampered blocks: a nonce, a previous hash, a body is changed in some of what it announces and answers.

use super::{announce, announcement, answer, response};
use crate::adversaries::{Adversary, Moment};
use conclave_ledger::{
    block::{Block, Header},
    hash::Hash,
};
use conclave_protocol::{mining::Response, node::Effect};
use std::sync::Arc;

/// See the module.
pub(in crate::adversaries) struct TamperBlocks;

fn hash(at: &mut Moment<'_>) -> Hash {
    let bytes = at.bytes(32);
    Hash(bytes.try_into().expect("it has 32 bytes"))
}

fn change_header(header: &mut Header, at: &mut Moment<'_>) {
    match at.below(5) {
        0 => {
            if let Some(seal) = &mut header.work {
                seal.nonce.0[at.below(8)] ^= 1 << at.below(8);
            }
        }
        1 => header.parent = hash(at),
        2 => header.transactions = hash(at),
        3 => header.state = hash(at),
        _ => header.work = None,
    }
}

fn change_body(block: &mut Block, at: &mut Moment<'_>) {
    match block.transactions.first().cloned() {
        Some(first) if at.one_in(2) => block.transactions.push(first),
        Some(_) => {
            block.transactions.pop();
        }
        None => change_header(&mut block.header, at),
    }
}

impl Adversary for TamperBlocks {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        if at.one_in(2) {
            return vec![effect];
        }
        if let Some((peer, mut compact)) = announcement(&effect) {
            change_header(&mut compact.header, at);
            return vec![announce(peer, &compact)];
        }
        let Some((peer, number, mut response)) = response(&effect) else { return vec![effect] };
        match &mut response {
            Response::Headers(headers) => {
                let index = at.below(headers.len());
                headers.get_mut(index).into_iter().for_each(|header| change_header(header, at));
            }
            Response::Blocks(blocks) => {
                let index = at.below(blocks.len());
                blocks.get_mut(index).into_iter().for_each(|block| change_body(Arc::make_mut(block), at));
            }
            Response::Transactions(transactions) => transactions.reverse(),
        }
        vec![answer(peer, number, &response)]
    }
}
