//! Lying sync: who asks it for decided heights gets others than were decided, or proofs that prove nothing, and hears
//! of heights that do not exist.

use super::{Adversary, Moment, forge::with_header, moment::consensus};
use conclave_ledger::{
    block::Decided,
    codec,
    proof::Proof,
    signed::{Height, Kind, SignatureSet, Value},
};
use conclave_protocol::{
    consensus::Message,
    node::{Effect, Protocol},
    sync::{MAX_RESPONSE_BYTES, ProvedHeight, Response},
};
use std::sync::Arc;

/// See the module.
#[derive(Default)]
pub(super) struct LyingSync;

/// A height beyond every other.
fn absurd(height: Height, at: &mut Moment<'_>) -> Height {
    match at.below(3) {
        0 => Height::MAX,
        1 => height.saturating_add(1 + at.below(1000) as Height),
        _ => height.saturating_add(1_000_000),
    }
}

/// The proof with one signature, the adversary's own.
fn too_few(decided: &Decided, proof: &Proof, at: &Moment<'_>) -> Proof {
    let of = |kind| at.sign(decided.height(), kind, decided.value());
    match proof {
        Proof::Certificate(_) => Proof::Certificate(of(Kind::Vote)),
        Proof::Commits(_) => Proof::Commits(of(Kind::Commit)),
    }
}

/// One of the heights, changed.
fn change(proved: &mut ProvedHeight, at: &mut Moment<'_>) {
    let block = proved.decided.block().cloned();
    match (at.below(5), block) {
        // A block that was not decided, under the proof of the one that was.
        (0, Some(block)) => {
            let ahead = 1 + at.below(1000) as u64;
            let other =
                with_header(&block, |header| header.timestamp = header.timestamp.saturating_add(ahead));
            proved.decided = Decided::Block(other);
        }
        // The header that was decided, with a part of its body.
        (1, Some(block)) => {
            let mut other = block.as_ref().clone();
            other.transactions.pop();
            proved.decided = Decided::Block(Arc::new(other));
        }
        // A skip where a block was decided.
        (2, Some(block)) => {
            let header = &block.header;
            let (network, height, parent) = (header.network, header.height, header.parent);
            proved.decided = Decided::Skip(conclave_ledger::block::Skip { network, height, parent });
        }
        (3, _) => proved.proof = too_few(&proved.decided, &proved.proof, at),
        _ => proved.proof = of_the_other_kind(&proved.proof),
    }
}

/// Commits for votes, or votes for commits.
fn of_the_other_kind(proof: &Proof) -> Proof {
    match proof {
        Proof::Certificate(signatures) => Proof::Commits(signatures.clone()),
        Proof::Commits(signatures) => Proof::Certificate(signatures.clone()),
    }
}

fn lie(response: Response, at: &mut Moment<'_>) -> Response {
    match response {
        Response::Status { height, proofs } => Response::Status { height: absurd(height, at), proofs },
        Response::Blocks(mut heights) => {
            match at.below(6) {
                0 => heights.clear(),
                1 => heights.reverse(),
                2 => {
                    let place = at.below(heights.len());
                    heights.drain(place..heights.len().min(place + 1));
                }
                _ => {
                    let place = at.below(heights.len());
                    heights.iter_mut().skip(place).take(1).for_each(|proved| change(proved, at));
                }
            }
            Response::Blocks(heights)
        }
        Response::Proofs(mut values) => {
            let place = at.below(values.len());
            for proved in values.iter_mut().skip(place).take(1) {
                match at.below(3) {
                    0 => proved.value = Value::Skip,
                    1 => proved.height = absurd(proved.height, at),
                    _ => proved.proof = of_the_other_kind(&proved.proof),
                }
            }
            Response::Proofs(values)
        }
        Response::Block(Some(block)) if at.one_in(2) => {
            let other = with_header(&block, |header| header.timestamp = header.timestamp.saturating_add(1));
            Response::Block(Some(other))
        }
        Response::Block(_) => Response::Block(None),
    }
}

impl Adversary for LyingSync {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        if let Effect::Respond { peer, protocol: Protocol::Sync, number, bytes } = &effect {
            let (peer, protocol, number) = (*peer, Protocol::Sync, *number);
            let Ok(response) = codec::decode(bytes, MAX_RESPONSE_BYTES) else { return vec![effect] };
            let bytes = codec::encode(&lie(response, at));
            return vec![Effect::Respond { peer, protocol, number, bytes }];
        }
        match at.sends(&effect) {
            // Whoever believes it asks for heights, from it among others.
            Some((peer, Message::Decided { height, proofs })) if at.one_in(2) => {
                let height = absurd(height, at);
                vec![consensus(peer, &Message::Decided { height, proofs })]
            }
            // A certificate of one signature claims as much.
            Some((peer, Message::Certificate { height, value, .. })) if at.one_in(4) => {
                let (votes, relays) = (at.sign(height, Kind::Vote, value), SignatureSet::default());
                vec![consensus(peer, &Message::Certificate { height, value, votes, relays })]
            }
            _ => vec![effect],
        }
    }
}
