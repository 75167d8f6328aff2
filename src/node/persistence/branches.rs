//! Branches that come and go more quickly than the database follows: what it says of a transaction in the end is where the
//! chain has it.

#![allow(clippy::unwrap_used)]

use super::*;
use conclave_ledger::{
    applications::{Payload, records::Record},
    block::Block,
    bytes::Bytes,
    chain::NothingKnown,
    genesis::{Engine, FORMAT, Limits},
    keys::SecretKey,
    proof_of_work::{Nonce, Parameters, SealSearch, reorganise},
    transaction::{Request, SharedTransaction},
    validators::FaultBound,
};
use tokio::sync::mpsc::unbounded_channel;

fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis {
        format: FORMAT,
        name: "test".into(),
        engine: Engine::ProofOfWork,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 500,
        created_ms: 1,
        stamp_bits: 0,
        proof_of_work: Some(Parameters { leading_zero_bits: 1, ..Parameters::default() }),
        limits: Limits::default(),
        validators: Vec::new(),
        senders: vec![key().public()],
        records: Vec::new(),
    })
}

fn record(text: &str) -> SharedTransaction {
    let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
    Request { network: genesis().network_id(), sender: key().public(), expires: 9, payload }
        .sign(&key())
        .into()
}

/// Blocks from the start on, each with one transaction.
fn mined(transactions: &[&SharedTransaction]) -> Vec<Arc<Block>> {
    let mut chain = Chain::new(genesis());
    let next = |transaction: &&SharedTransaction| {
        let mut block = chain.template(key().public(), 1_000, false, [*transaction]).unwrap();
        let nonce = SealSearch::new(&block.header).unwrap().find(0, 1_000).unwrap();
        block.header.work.as_mut().unwrap().nonce = Nonce(nonce.to_be_bytes());
        let block = Arc::new(block);
        chain.apply(&Decided::Block(block.clone()), None, &NothingKnown, false).unwrap();
        block
    };
    transactions.iter().map(next).collect()
}

/// The chain goes over to these blocks, after `fork`.
fn follow(
    persistence: &mut Persistence,
    chain: &mut Chain,
    fork: Height,
    blocks: &[Arc<Block>],
    database: &Database,
) {
    let done = reorganise(chain, fork, blocks, &NothingKnown).unwrap();
    if !done.undone.is_empty() {
        persistence.rolled_back(fork + 1, done.changes, database);
    }
    for (block, applied) in done.adopted {
        persistence.decided(&Arc::new(Decided::Block(block)), &applied, &None);
    }
}

fn wait_for_the_database(
    persistence: &mut Persistence,
    events: &mut tokio::sync::mpsc::UnboundedReceiver<DiskEvent>,
) {
    while !persistence.committing.is_empty() {
        if let DiskEvent::Writer(WriterEvent::Committed { batches, wal_sequence, .. }) =
            events.blocking_recv().unwrap()
        {
            persistence.committed(batches, wal_sequence);
        }
    }
}

#[test]
fn a_transaction_is_where_the_last_branch_has_it_however_late_the_database_is() {
    let home = tempfile::tempdir().unwrap();
    let (sender, mut events) = unbounded_channel();
    let opened = open(home.path(), genesis()).unwrap();
    let database = opened.database.clone();
    let mut persistence = Persistence::start(opened, &sender).unwrap();
    let (first, moved, gone, last) = (record("first"), record("moved"), record("gone"), record("last"));
    let mut chain = Chain::new(genesis());

    let early = mined(&[&first, &moved]);
    follow(&mut persistence, &mut chain, 0, &early, &database);
    wait_for_the_database(&mut persistence, &mut events);
    let place = |id: &SharedTransaction| {
        database.snapshot().unwrap().location(&id.id().0).unwrap().map(|place| place.height)
    };
    assert_eq!([place(&first), place(&moved)], [Some(1), Some(2)]);

    // The database stands still while the chain goes over to one branch, and from its first block to another.
    let writer = persistence.writer.take();
    let then = mined(&[&moved, &gone]);
    follow(&mut persistence, &mut chain, 0, &then, &database);
    let end = mined(&[&moved, &last]);
    assert_eq!(end[0].hash(), then[0].hash());
    follow(&mut persistence, &mut chain, 1, &end[1..], &database);
    persistence.writer = writer;
    persistence.flush();
    wait_for_the_database(&mut persistence, &mut events);

    assert_eq!([place(&moved), place(&last)], [Some(1), Some(2)], "they are where the chain has them");
    assert_eq!([place(&first), place(&gone)], [None, None], "they are nowhere");
    persistence.close();
}
