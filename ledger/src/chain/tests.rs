//! The chain by itself: four validators whose keys the test holds decide what the test wants.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    genesis::{Engine, FORMAT, Limits},
    keys::SecretKey,
    pool::{Pool, PoolError, PoolLimits},
    proof::ProofError,
    signed::{Kind, SignatureSet, Slot},
    transaction::{Request, Transaction, find_stamp},
    validators::{FaultBound, Validator},
};

const NOW: u64 = 1_700_000_000_000;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn genesis() -> Arc<Genesis> {
    let genesis = Genesis {
        format: FORMAT,
        name: "test".into(),
        engine: Engine::DolevStrong,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 500,
        created_ms: NOW,
        stamp_bits: 8,
        proof_of_work: None,
        limits: Limits::default(),
        validators: (0..4).map(|n| Validator { name: format!("v{n}"), key: key(n).public() }).collect(),
        senders: vec![key(50).public()],
        records: Vec::new(),
    };
    genesis.check().unwrap();
    Arc::new(genesis)
}

fn record(chain: &Chain, sender: u8, text: &str) -> Transaction {
    let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
    let request = Request {
        network: chain.network(),
        sender: key(sender).public(),
        expires: chain.next_height() + 10,
        payload,
    };
    request.sign(&key(sender))
}

fn certificate(chain: &Chain, height: Height, value: &Value, signers: &[u8]) -> Proof {
    let slot = Slot { network: chain.network(), height };
    let votes = signers.iter().map(|n| (u16::from(*n), slot.sign(&key(*n), Kind::Vote, value)));
    Proof::Certificate(votes.collect::<SignatureSet>())
}

fn proofs(chain: &Chain) -> Vec<Proof> {
    chain.unproven().map(|(height, value)| certificate(chain, height, &value, &[0, 1, 2])).collect()
}

fn propose(chain: &Chain, transactions: &[Transaction]) -> Block {
    let shared: Vec<SharedTransaction> = transactions.iter().cloned().map(Into::into).collect();
    let (block, execution) = chain.propose(chain.leader(), NOW, proofs(chain), &shared).unwrap();
    assert_eq!(execution, chain.validate(&block, &NothingKnown).unwrap(), "what others find");
    block
}

fn decide(chain: &mut Chain, transactions: &[Transaction], certified: bool) -> Block {
    let block = propose(chain, transactions);
    let execution = chain.validate(&block, &NothingKnown).unwrap();
    chain.apply(&Decided::Block(Arc::new(block.clone())), Some(execution), &NothingKnown, certified).unwrap();
    block
}

fn skip(chain: &mut Chain) {
    let skip = Decided::Skip(chain.skip());
    chain.apply(&skip, None, &NothingKnown, true).unwrap();
}

#[test]
fn blocks_and_skips_follow_each_other_and_carry_the_proofs_of_those_before() {
    let mut chain = Chain::new(genesis());
    let first = record(&chain, 50, "first");
    decide(&mut chain, std::slice::from_ref(&first), true);
    assert_eq!(chain.tip().height, 1);
    skip(&mut chain);
    skip(&mut chain);
    let second = record(&chain, 50, "second");
    let block = decide(&mut chain, &[first, second], true);
    assert_eq!(
        (block.transactions.len(), block.proofs.len()),
        (1, 3),
        "included once; heights 1 to 3 are proved"
    );
    assert_eq!(chain.tip().height, 4);
}

/// A block of the largest timestamp is within the rules; the validators' clocks are against it.
#[test]
fn behind_the_last_timestamp_there_are_only_skips() {
    let mut chain = Chain::new(genesis());
    let transactions: Vec<SharedTransaction> = [record(&chain, 50, "last").into()].into();
    let (block, _) = chain.propose(chain.leader(), u64::MAX, proofs(&chain), &transactions).unwrap();
    chain.apply(&Decided::Block(block.into()), None, &NothingKnown, true).unwrap();
    let transaction: SharedTransaction = record(&chain, 50, "too late").into();
    assert_eq!(chain.propose(chain.leader(), NOW, proofs(&chain), [&transaction]), None);
    let mut pool = Pool::new(PoolLimits { transactions: 1, bytes: 1 << 20, per_sender: 1 });
    assert_eq!(pool.admit(transaction.clone(), &chain, NOW), Ok(transaction.id()));
    assert_eq!(pool.drop_invalid_front(&chain, NOW), []);
    skip(&mut chain);
    assert_eq!(chain.tip().height, 2);
}

/// Leaders of heights 2 and 3 let their turns pass and are passed over from then on.
#[test]
fn a_skipped_leader_is_passed_over() {
    let mut chain = Chain::new(genesis());
    let leaders: Vec<PublicKey> = (1..=6)
        .map(|height| {
            let leader = chain.leader();
            if matches!(height, 2 | 3) {
                skip(&mut chain);
            } else {
                let transaction = record(&chain, 50, &format!("at {height}"));
                decide(&mut chain, &[transaction], true);
            }
            leader
        })
        .collect();
    assert_eq!(leaders, [0, 1, 2, 3, 0, 3].map(|n| key(n).public()));
}

#[test]
fn two_chains_with_the_same_blocks_agree_and_a_restored_one_too() {
    let (mut one, mut other) = (Chain::new(genesis()), Chain::new(genesis()));
    for number in 0..5 {
        let transaction = record(&one, 50, &format!("{number}"));
        let block = decide(&mut one, &[transaction], true);
        other.apply(&Decided::Block(block.into()), None, &NothingKnown, true).unwrap();
        assert_eq!(one.state_hash(), other.state_hash());
    }
    let entries = one.entries().map(|(key, value)| (key.to_vec(), value.to_vec()));
    let mut restored = Chain::restore(genesis(), entries).unwrap();
    assert_eq!((restored.tip(), restored.state_hash()), (one.tip(), one.state_hash()));
    let transaction = record(&one, 50, "after");
    let block = decide(&mut one, &[transaction], true);
    restored.apply(&Decided::Block(block.into()), None, &NothingKnown, true).unwrap();
    assert_eq!(restored.state_hash(), one.state_hash());
    assert!(Chain::restore(genesis(), []).is_err());
}

#[test]
fn a_state_that_does_not_decode_is_an_error_that_names_the_entry() {
    let mut chain = Chain::new(genesis());
    let transaction = record(&chain, 50, "first");
    decide(&mut chain, &[transaction], true);
    let entries: Vec<(Vec<u8>, Vec<u8>)> =
        chain.entries().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    let table = [
        ("chain/tip", "the tip"),
        ("chain/sets", "the history of validator sets"),
        ("governance/set", "the validator set"),
        ("governance/limits", "the limits"),
        ("rotation", "the rotation"),
    ];
    for (name, what) in table {
        for value in [&b""[..], b"\xff", b"\x80", b"\xa1\x61x\x07"] {
            let mut damaged = entries.clone();
            let entry = damaged.iter_mut().find(|(key, _)| key.starts_with(name.as_bytes()));
            entry.unwrap_or_else(|| panic!("{name}")).1 = value.to_vec();
            // An empty history of sets has the right shape; every other table needs its fields.
            if (name, value) == ("chain/sets", b"\x80") {
                continue;
            }
            let error =
                Chain::restore(genesis(), damaged).err().unwrap_or_else(|| panic!("{name}: {value:x?}"));
            assert!(error.to_string().contains(what), "{name}: {error}");
        }
    }
}

#[test]
fn every_rule_of_a_block_is_checked() {
    let mut chain = Chain::new(genesis());
    let transaction = record(&chain, 50, "first");
    decide(&mut chain, &[transaction], true);
    let transaction = record(&chain, 50, "second");
    let good = propose(&chain, std::slice::from_ref(&transaction));
    assert!(chain.validate(&good, &NothingKnown).is_ok());
    let broken = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        chain.validate(&block, &NothingKnown).unwrap_err()
    };
    let reroot =
        |block: &mut Block| block.header.transactions = Block::transactions_root(&block.transactions);
    let reproof = |block: &mut Block| block.header.proofs = Block::proofs_hash(&block.proofs);
    let forge = |block: &mut Block| {
        let mut transaction = Transaction::clone(&block.transactions[0]);
        transaction.signature.0[0] ^= 1;
        block.transactions[0] = transaction.into();
    };
    let hash = Hash([7; 32]);
    assert_eq!(broken(&|block| block.header.network = hash), BlockError::WrongNetwork(hash));
    assert_eq!(broken(&|block| block.header.height = 3), BlockError::Height { found: 3, expected: 2 });
    assert!(matches!(broken(&|block| block.header.parent = hash), BlockError::Parent { .. }));
    assert_eq!(broken(&|block| block.header.leader = key(3).public()), BlockError::Leader);
    assert!(matches!(broken(&|block| block.header.timestamp = NOW), BlockError::Timestamp { .. }));
    assert!(matches!(broken(&|block| block.header.state = hash), BlockError::State { .. }));
    assert_eq!(broken(&|block| block.transactions.clear()), BlockError::Empty);
    assert_eq!(broken(&|block| block.proofs.clear()), BlockError::ProofsHash);
    let no_proof = broken(&|block| {
        block.proofs.clear();
        reproof(block);
    });
    assert_eq!(no_proof, BlockError::ProofCount { found: 0, expected: 1 });
    let weak_proof = broken(&|block| {
        block.proofs =
            chain.unproven().map(|(height, value)| certificate(&chain, height, &value, &[0, 1])).collect();
        reproof(block);
    });
    let too_few = ProofError::TooFew { found: 2, needed: 3 };
    assert_eq!(weak_proof, BlockError::Proof { height: 1, error: too_few });
    let false_proof = broken(&|block| {
        block.proofs = vec![certificate(&chain, 1, &Value::Skip, &[0, 1, 2])];
        reproof(block);
    });
    assert_eq!(false_proof, BlockError::Proof { height: 1, error: ProofError::Signature });
    assert_eq!(broken(&forge), BlockError::TransactionsRoot);
    let of_transaction = |change: &dyn Fn(&mut Block)| match broken(&|block| {
        change(block);
        reroot(block);
    }) {
        BlockError::Transaction { error, .. } => error,
        other => panic!("{other}"),
    };
    assert_eq!(of_transaction(&forge), TransactionError::Signature);
    assert_eq!(
        of_transaction(&|block| block.transactions.push(transaction.clone().into())),
        TransactionError::AlreadyIncluded
    );
    let foreign = |block: &mut Block| {
        let mut request = transaction.request.clone();
        request.network = hash;
        block.transactions[0] = request.sign(&key(50)).into();
    };
    assert_eq!(of_transaction(&foreign), TransactionError::WrongNetwork(hash));
}

#[test]
fn what_was_decided_without_a_certificate_can_be_undone() {
    let mut chain = Chain::new(genesis());
    let before = chain.state_hash();
    let transaction = record(&chain, 50, "first");
    decide(&mut chain, &[transaction], false);
    let transaction = record(&chain, 50, "second");
    decide(&mut chain, &[transaction], true);
    assert!(chain.rollback(3).is_err());
    let changed = chain.rollback(1).unwrap();
    assert!(!changed.is_empty());
    assert_eq!((chain.tip().height, chain.state_hash()), (0, before));
    let transaction = record(&chain, 50, "first");
    decide(&mut chain, &[transaction], true);
    assert!(chain.rollback(1).is_err(), "a certificate is final, so nothing is kept to undo it");
}

/// The chain from its state's entries and what undoes its last heights, both as storage has them.
fn restart(chain: &Chain, stored: &[(Height, Vec<u8>)]) -> Result<Chain, BrokenUndo> {
    let entries = chain.entries().map(|(key, value)| (key.to_vec(), value.to_vec()));
    let mut restored = Chain::restore(genesis(), entries).unwrap();
    let heights = stored.iter().map(|(height, bytes)| {
        let (_, undo) = chain.undoable().find(|(undoable, _)| undoable == height).unwrap();
        (*height, Undo::decode(bytes, undo.decided.clone()).unwrap())
    });
    restored.restore_undo(heights.collect()).map(|()| restored)
}

#[test]
fn what_can_be_undone_can_be_undone_after_a_restart_too() {
    let mut chain = Chain::new(genesis());
    let mut states = vec![chain.state_hash()];
    let mut stored = Vec::new();
    for (height, certified) in [(1, true), (2, false), (3, true), (4, false)] {
        let block = propose(&chain, &[record(&chain, 50, &format!("{height}"))]);
        let applied = chain.apply(&Decided::Block(block.into()), None, &NothingKnown, certified).unwrap();
        assert_eq!(applied.undo_from, 2, "height {height}");
        stored.extend(applied.undo.map(|undo| (height, undo)));
        states.push(chain.state_hash());
    }
    assert_eq!(stored.iter().map(|(height, _)| *height).collect::<Vec<_>>(), [2, 3, 4]);
    for height in [2, 3, 4] {
        let mut restored = restart(&chain, &stored).unwrap();
        assert_eq!(restored.undoable().map(|(height, _)| height).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(restored.rollback(1).is_err());
        restored.rollback(height).unwrap();
        assert_eq!((restored.tip().height, restored.state_hash()), (height - 1, states[height as usize - 1]));
    }
    let mut restored = restart(&chain, &stored).unwrap();
    restored.certified(2);
    assert_eq!(restored.undoable().map(|(height, _)| height).collect::<Vec<_>>(), [4]);
    // A gap, another end: refused.
    stored.remove(1);
    assert_eq!(restart(&chain, &stored).err(), Some(BrokenUndo { tip: 4 }));
    assert_eq!(restart(&chain, &stored[..1]).err(), Some(BrokenUndo { tip: 4 }));
    assert!(restart(&chain, &[]).unwrap().rollback(4).is_err());
}

#[test]
fn what_undoes_heights_is_bounded() {
    let mut chain = Chain::new(genesis());
    let last = UNDO_HEIGHTS as Height + 5;
    for height in 1..=last {
        let applied = chain.apply(&Decided::Skip(chain.skip()), None, &NothingKnown, height > 1).unwrap();
        assert_eq!(applied.undo.is_some(), height <= UNDO_HEIGHTS as Height, "height {height}");
    }
    assert!(chain.undoable().next().is_none());
}

#[test]
fn the_pool_names_the_rule_and_keeps_its_bounds() {
    let chain = Chain::new(genesis());
    let limits = PoolLimits { transactions: 3, bytes: 1 << 20, per_sender: 2 };
    let mut pool = Pool::new(limits);
    let admit =
        |pool: &mut Pool, transaction: &Transaction| pool.admit(transaction.clone().into(), &chain, NOW);
    let first = record(&chain, 50, "first");
    assert_eq!(admit(&mut pool, &first), Ok(first.id()));
    assert_eq!(admit(&mut pool, &first), Err(PoolError::AlreadyWaiting));

    let mut unsigned = record(&chain, 50, "unsigned");
    unsigned.signature.0[0] ^= 1;
    assert_eq!(admit(&mut pool, &unsigned), Err(TransactionError::Signature.into()));

    let mut late = first.request.clone();
    late.expires = chain.next_height() + 1001;
    assert!(matches!(
        admit(&mut pool, &late.sign(&key(50))),
        Err(PoolError::Invalid(TransactionError::ExpiresTooLate { .. }))
    ));
    let mut early = first.request.clone();
    early.expires = 0;
    assert!(matches!(
        admit(&mut pool, &early.sign(&key(50))),
        Err(PoolError::Invalid(TransactionError::Expired { .. }))
    ));

    let mut stranger = record(&chain, 60, "stranger");
    assert_eq!(admit(&mut pool, &stranger), Err(TransactionError::Stamp { bits: 8 }.into()));
    stranger.stamp = find_stamp(&stranger.id(), 8, 0, u64::MAX);
    assert_eq!(admit(&mut pool, &stranger), Ok(stranger.id()));

    admit(&mut pool, &record(&chain, 50, "second")).unwrap();
    let full = PoolError::Full { transactions: 3, bytes: pool.bytes() };
    assert_eq!(admit(&mut pool, &record(&chain, 0, "fourth")), Err(full));
    pool.remove(&stranger.id());
    assert_eq!(admit(&mut pool, &record(&chain, 50, "third")), Err(PoolError::TooManyOfSender(2)));
    assert_eq!(pool.len(), 2);
}

/// Nobody is blamed for a transaction that a node at another height may have let through.
#[test]
fn only_what_breaks_a_rule_in_every_state_is_blamed_on_who_sent_it() {
    use crate::{
        applications::polls::{self, PollError},
        hash::Hash,
        tally::{Choice, ChoiceError},
    };
    let chain = Chain::new(genesis());
    let mut pool = Pool::new(PoolLimits::default());
    let mut verdict = |payload: Payload, sender: u8| {
        let (network, expires) = (chain.network(), chain.next_height() + 10);
        let request = Request { network, sender: key(sender).public(), expires, payload };
        pool.admit(request.sign(&key(sender)).into(), &chain, NOW).unwrap_err()
    };
    let ballot = || Payload::Poll(polls::Payload::CastBallot { poll: Hash([1; 32]), choice: Choice::One(0) });
    let unknown = verdict(ballot(), 50);
    assert!(unknown.is_temporary(), "the poll may be decided where it came from: {unknown}");
    let unstamped = verdict(ballot(), 60);
    assert!(unstamped.is_temporary(), "the poll's electorate needs no stamp: {unstamped}");
    let large = Record { kind: "note".into(), data: Bytes(vec![0; 40 << 10]) };
    let large = verdict(Payload::Record(large), 50);
    assert!(!large.is_temporary(), "{large}");

    let refused = |refusal: PollError| {
        let refusal = applications::Refusal::Poll(refusal);
        PoolError::from(TransactionError::from(refusal)).is_temporary()
    };
    assert!(!refused(PollError::Title(0)) && !refused(PollError::EmptyElectorate));
    assert!(!refused(PollError::Choice(ChoiceError::UnknownOption { option: 2, options: 2 })));
    assert!(refused(PollError::Closed) && refused(PollError::ClosesInPast { closes: 1, now: 2 }));
}

#[test]
fn transactions_that_come_together_are_judged_each_by_itself() {
    let chain = Chain::new(genesis());
    let mut pool = Pool::new(PoolLimits { transactions: 6, ..PoolLimits::default() });
    let mut transactions: Vec<Transaction> =
        (0..8).map(|number| record(&chain, 50, &number.to_string())).collect();
    transactions[3].signature.0[0] ^= 1;
    transactions[5] = transactions[1].clone();
    let verdicts = pool.admit_all(transactions.iter().cloned().map(Into::into).collect(), &chain, NOW);
    for (number, (verdict, transaction)) in verdicts.into_iter().zip(&transactions).enumerate() {
        match number {
            3 => assert_eq!(verdict, Err(TransactionError::Signature.into())),
            5 => assert_eq!(verdict, Err(PoolError::AlreadyWaiting)),
            7 => assert!(matches!(verdict, Err(PoolError::Full { transactions: 6, .. })), "{verdict:?}"),
            _ => assert_eq!(verdict, Ok(transaction.id())),
        }
    }
    assert_eq!(pool.len(), 5, "what was refused takes no place");
    assert_eq!(pool.admit(transactions[7].clone().into(), &chain, NOW), Ok(transactions[7].id()));
}
