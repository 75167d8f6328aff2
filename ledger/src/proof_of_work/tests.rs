//! The chain under proof of work: one rule broken at a time, reorganisations, what the pool gets back.

#![allow(clippy::unwrap_used)]

use super::{
    testing::{NOW, genesis, mine, record, seal},
    *,
};
use crate::{
    block::{Block, Decided},
    chain::{BlockError, Chain, NothingKnown},
    codec,
    hash::Hash,
    keys::PublicKey,
    pool::{Pool, PoolLimits},
    proof::Proof,
    signed::SignatureSet,
    transaction::SharedTransaction,
};
use std::sync::Arc;

fn easy() -> Parameters {
    Parameters {
        leading_zero_bits: 4,
        block_interval_ms: 1_000,
        half_life_ms: 10_000,
        mine_empty: false,
        depth: 2,
    }
}

fn adopt(chain: &mut Chain, block: &Arc<Block>) {
    chain.apply(&Decided::Block(block.clone()), None, &NothingKnown, false).unwrap();
}

fn grow(chain: &mut Chain, miner: u8, text: &str) -> Arc<Block> {
    let now = chain.tip().timestamp + 1_000;
    let block = mine(chain, miner, now, &[record(chain, text)]).unwrap();
    adopt(chain, &block);
    block
}

#[test]
fn a_block_proves_itself_and_every_rule_can_be_broken() {
    let chain = Chain::new(genesis(easy()));
    let good = mine(&chain, 1, NOW + 500, &[record(&chain, "one")]).unwrap();
    chain.validate(&good, &NothingKnown).unwrap();
    type Break = fn(&mut Block);
    let cases: [(&str, Break); 7] = [
        ("missing-work", |block| block.header.work = None),
        ("target", |block| {
            block.header.work = Some(Seal { target: CompactTarget(0x2000_ffff), nonce: Nonce([0; 8]) });
            seal(&mut block.header);
        }),
        ("hash", |block| {
            let target = easy().easiest();
            let seal = block.header.work.as_mut().unwrap();
            seal.nonce = Nonce([0xff; 8]);
            while target.is_met_by(&block.header.hash()) {
                block.header.work.as_mut().unwrap().nonce.0[0] -= 1;
            }
        }),
        ("timestamp", |block| {
            block.header.timestamp = NOW;
            seal(&mut block.header);
        }),
        ("proofs", |block| {
            block.proofs = vec![Proof::Commits(SignatureSet::default())];
            block.header.proofs = Block::proofs_hash(&block.proofs);
            seal(&mut block.header);
        }),
        ("empty", |block| {
            block.transactions.clear();
            block.header.transactions = Block::transactions_root(&[]);
            seal(&mut block.header);
        }),
        ("state", |block| {
            block.header.state = Hash([9; 32]);
            seal(&mut block.header);
        }),
    ];
    for (rule, breaks) in cases {
        let mut block = good.as_ref().clone();
        breaks(&mut block);
        let found = match chain.validate(&block, &NothingKnown).unwrap_err() {
            BlockError::Work(error) => error.name(),
            BlockError::Timestamp { .. } => "timestamp",
            BlockError::State { .. } => "state",
            other => panic!("{rule}: {other}"),
        };
        assert_eq!(found, rule);
    }
    let mut other = good.as_ref().clone();
    other.transactions.push(record(&chain, "smuggled in"));
    assert_eq!(chain.validate(&other, &NothingKnown), Err(BlockError::TransactionsRoot));
}

#[test]
fn headers_read_back_and_a_seal_that_is_null_is_not_canonical() {
    let chain = Chain::new(genesis(easy()));
    let block = mine(&chain, 1, NOW + 1, &[record(&chain, "one")]).unwrap();
    let bytes = codec::encode(&block.header);
    assert_eq!(codec::decode::<crate::block::Header>(&bytes, bytes.len()).unwrap(), block.header);
    assert_eq!(bytes[bytes.len() - 8..], block.header.work.unwrap().nonce.0, "the nonce is the end");
    let unsealed = crate::block::Header { work: None, ..block.header.clone() };
    let mut bytes = codec::encode(&unsealed);
    assert!(codec::decode::<crate::block::Header>(&bytes, bytes.len()).is_ok());
    bytes[0] += 1;
    bytes.extend(b"\x64work\xf6");
    assert_eq!(
        codec::decode::<crate::block::Header>(&bytes, bytes.len()),
        Err(codec::DecodeError::NotCanonical)
    );
}

#[test]
fn what_is_decided_gets_its_confirmations_and_then_the_chain_rests() {
    let mut chain = Chain::new(genesis(easy()));
    assert!(mine(&chain, 1, NOW + 1, &[]).is_none(), "nothing to confirm yet");
    grow(&mut chain, 1, "one");
    for _ in 0..2 {
        let block = mine(&chain, 1, chain.tip().timestamp + 1_000, &[]).unwrap();
        adopt(&mut chain, &block);
    }
    let now = chain.tip().timestamp + 1_000;
    assert!(mine(&chain, 1, now, &[]).is_none(), "two confirmations are enough");
    for _ in 0..TIE_BLOCKS {
        let now = chain.tip().timestamp + 1_000;
        let mut block = chain.template(PublicKey([1; 32]), now, true, []).unwrap();
        seal(&mut block.header);
        adopt(&mut chain, &Arc::new(block));
    }
    let now = chain.tip().timestamp + 1_000;
    assert!(chain.template(PublicKey([1; 32]), now, true, []).is_none(), "ties are broken by then");
    let empty = Parameters { mine_empty: true, ..easy() };
    assert!(mine(&Chain::new(genesis(empty)), 1, NOW + 1, &[]).is_some());
}

#[test]
fn the_target_follows_the_schedule_and_a_rest_does_not_make_it_easy() {
    let bits = |chain: &Chain, parameters: &Parameters| {
        let target = chain.position().unwrap().next_target(parameters).target().unwrap();
        target.work().as_f64().log2()
    };
    let parameters = Parameters { mine_empty: true, ..easy() };
    let mut chain = Chain::new(genesis(parameters.clone()));
    // Ten blocks at once: ten seconds ahead, one half-life.
    for number in 0..10 {
        let block = mine(&chain, 1, NOW + number, &[]).unwrap();
        adopt(&mut chain, &block);
    }
    let ahead = bits(&chain, &parameters);
    assert!((4.9..5.1).contains(&ahead), "{ahead}");
    let block = mine(&chain, 1, NOW + 60_000, &[]).unwrap();
    adopt(&mut chain, &block);
    let behind = bits(&chain, &parameters);
    assert!((3.9..4.1).contains(&behind), "never easier than at the start: {behind}");

    let mut resting = Chain::new(genesis(easy()));
    for number in 0..10 {
        let block = mine(&resting, 1, NOW + number, &[record(&resting, &number.to_string())]).unwrap();
        adopt(&mut resting, &block);
    }
    let before = bits(&resting, &easy());
    let block = mine(&resting, 1, NOW + 86_400_000, &[record(&resting, "a day later")]).unwrap();
    adopt(&mut resting, &block);
    let after = bits(&resting, &easy());
    assert!((0.4..0.6).contains(&(before - after)), "six intervals less one of ten: {before} {after}");
}

#[test]
fn a_reorganisation_is_all_or_nothing() {
    let mut chain = Chain::new(genesis(easy()));
    grow(&mut chain, 1, "common");
    let mut other = Chain::new(chain.genesis().clone());
    adopt(&mut other, chain.undoable().next().unwrap().1.decided.block().unwrap());
    for text in ["a", "b"] {
        grow(&mut chain, 1, text);
    }
    let branch: Vec<Arc<Block>> = ["x", "y", "z"].iter().map(|text| grow(&mut other, 2, text)).collect();

    let mut bad = branch.clone();
    let last = Arc::make_mut(&mut bad[2]);
    last.header.state = Hash([7; 32]);
    seal(&mut last.header);
    let (tip, state) = (chain.tip().clone(), chain.state_hash());
    let refused = reorganise(&mut chain, 1, &bad, &NothingKnown).unwrap_err();
    let NotReorganised::Invalid { height: 4, error, .. } = refused else { panic!("{refused}") };
    assert!(matches!(*error, BlockError::State { .. }), "{error}");
    assert_eq!((chain.tip(), chain.state_hash()), (&tip, state));
    assert_eq!(chain.undoable().count(), 3);

    let done = reorganise(&mut chain, 1, &branch, &NothingKnown).unwrap();
    assert_eq!((done.undone.len(), done.adopted.len()), (2, 3));
    assert_eq!((chain.tip(), chain.state_hash()), (other.tip(), other.state_hash()));
    assert_eq!(chain.position(), other.position());

    // And what was undone waits again, before what came later.
    let mut pool = Pool::new(PoolLimits { transactions: 1, bytes: 1 << 20, per_sender: 1 });
    pool.admit(record(&chain, "waits"), &chain, NOW).unwrap();
    let undone = done.undone.iter().flat_map(|block| block.transactions.clone());
    assert_eq!(pool.readmit(undone, &chain, NOW), []);
    let ids: Vec<Hash> = pool.iter().map(SharedTransaction::id).collect();
    assert_eq!(ids, ["a", "b", "waits"].map(|text| record(&chain, text).id()));
    let again = branch.iter().flat_map(|block| block.transactions.clone());
    assert_eq!(pool.readmit(again, &chain, NOW), [], "what is on the chain is not in want of a place");
    assert_eq!(pool.len(), 3);
}

#[test]
fn too_deep_is_refused_and_changes_nothing() {
    let mut chain = Chain::new(genesis(easy()));
    let block = grow(&mut chain, 1, "one");
    let mut restored = Chain::restore(
        chain.genesis().clone(),
        chain.entries().map(|(key, value)| (key.to_vec(), value.to_vec())),
    )
    .unwrap();
    assert_eq!(restored.position(), chain.position());
    let refused = reorganise(&mut restored, 0, &[block], &NothingKnown).unwrap_err();
    assert!(matches!(refused, NotReorganised::TooDeep(_)), "{refused}");
    assert_eq!(restored.tip(), chain.tip());
}
