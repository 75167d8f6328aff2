//! Networks by proof of work that are easy to mine, for the tests of this crate.

#![allow(clippy::unwrap_used)]

use super::{Nonce, Parameters, Position, Seal, SealSearch};
use crate::{
    applications::{Payload, records::Record},
    block::{Block, Header},
    bytes::Bytes,
    chain::Chain,
    genesis::{Engine, FORMAT, Genesis, Limits},
    hash::Hash,
    keys::{PublicKey, SecretKey},
    transaction::{Request, SharedTransaction},
    validators::FaultBound,
};
use std::sync::Arc;

pub(super) const NOW: u64 = 1_700_000_000_000;

pub(super) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub(super) fn genesis(parameters: Parameters) -> Arc<Genesis> {
    let genesis = Genesis {
        format: FORMAT,
        name: "mined".into(),
        engine: Engine::ProofOfWork,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 500,
        created_ms: NOW,
        stamp_bits: 8,
        proof_of_work: Some(parameters),
        limits: Limits::default(),
        validators: Vec::new(),
        senders: vec![key(50).public()],
        records: Vec::new(),
    };
    genesis.check().unwrap();
    Arc::new(genesis)
}

pub(super) fn record(chain: &Chain, text: &str) -> SharedTransaction {
    let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
    let (network, sender) = (chain.network(), key(50).public());
    Request { network, sender, expires: chain.genesis().limits.expiry_heights, payload }.sign(&key(50)).into()
}

/// Gives a header the nonce that its target asks for.
pub(super) fn seal(header: &mut Header) {
    let nonce = SealSearch::new(header).unwrap().find(0, u64::MAX).unwrap();
    header.work.as_mut().unwrap().nonce = Nonce(nonce.to_be_bytes());
}

/// The next block of a chain, mined by `miner` at `now_ms`.
pub(super) fn mine(
    chain: &Chain,
    miner: u8,
    now_ms: u64,
    transactions: &[SharedTransaction],
) -> Option<Arc<Block>> {
    let mut block = chain.template(PublicKey([miner; 32]), now_ms, false, transactions)?;
    seal(&mut block.header);
    Some(Arc::new(block))
}

/// A block that follows `position` as far as its header tells, whatever the state is there.
pub(super) fn mine_blindly(
    chain: &Chain,
    position: &Position,
    miner: u8,
    now_ms: u64,
    transactions: &[SharedTransaction],
) -> Arc<Block> {
    let parameters = chain.genesis().proof_of_work.as_ref().unwrap();
    let mut header = Header {
        network: chain.network(),
        height: position.height + 1,
        parent: position.hash,
        leader: PublicKey([miner; 32]),
        timestamp: now_ms.max(position.timestamp + 1),
        state: Hash([0xbb; 32]),
        proofs: Block::proofs_hash(&[]),
        transactions: Block::transactions_root(transactions),
        work: Some(Seal { target: position.next_target(parameters), nonce: Nonce([0; 8]) }),
    };
    seal(&mut header);
    Arc::new(Block { header, proofs: Vec::new(), transactions: transactions.to_vec() })
}
