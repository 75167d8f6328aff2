//! The two disks together: what was appended comes back, whatever a crash cut off.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::storage::Disk;
use conclave_ledger::{
    block::{Block, Header},
    bytes::Bytes,
    genesis::{Engine, FORMAT, Limits},
    hash::Hash,
    keys::SecretKey,
    signed::{Kind, Slot, Value},
    transaction::SharedTransaction,
    validators::{FaultBound, Validator},
};
use conclave_protocol::consensus::SignedRecord;
use tokio::sync::mpsc::unbounded_channel;

fn genesis() -> Arc<Genesis> {
    let key = SecretKey::from_seed([1; 32]).public();
    Arc::new(Genesis {
        format: FORMAT,
        name: "test".into(),
        engine: Engine::DolevStrong,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 500,
        created_ms: 1,
        stamp_bits: 16,
        proof_of_work: None,
        limits: Limits::default(),
        validators: vec![Validator { name: "one".into(), key }],
        senders: Vec::new(),
        records: Vec::new(),
    })
}

fn signed(height: Height) -> LogRecord {
    let (key, value) = (SecretKey::from_seed([1; 32]), Value::Skip);
    let signature = Slot { network: genesis().network_id(), height }.sign(&key, Kind::Vote, &value);
    LogRecord::Signed(SignedRecord { height, kind: Kind::Vote, value, signature })
}

/// A block record that takes several parts.
fn large() -> LogRecord {
    let key = SecretKey::from_seed([2; 32]);
    let zero = Hash::ZERO;
    let header = Header {
        network: zero,
        height: 1,
        parent: zero,
        leader: key.public(),
        timestamp: 2,
        state: zero,
        proofs: zero,
        transactions: zero,
        work: None,
    };
    let record =
        conclave_ledger::applications::records::Record { kind: "note".into(), data: Bytes(vec![7; 30_000]) };
    let request = conclave_ledger::transaction::Request {
        network: zero,
        sender: key.public(),
        expires: 9,
        payload: conclave_ledger::applications::Payload::Record(record),
    };
    let transaction: SharedTransaction = request.sign(&key).into();
    let transactions = std::iter::repeat_n(transaction, 60).collect();
    LogRecord::Block(Arc::new(Block { header, proofs: Vec::new(), transactions }))
}

fn append_all(home: &Path, records: &[LogRecord]) {
    let (sender, mut events) = unbounded_channel();
    let mut persistence = Persistence::start(open(home, genesis()).unwrap(), &sender).unwrap();
    for record in records {
        persistence.append(record).unwrap();
    }
    while persistence.synced_up_to() < persistence.appended() {
        match events.blocking_recv().unwrap() {
            DiskEvent::Wal(WalEvent::Synced { ticket, .. }) => persistence.synced(ticket).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    persistence.close();
}

fn log(home: &Path) -> Vec<LogRecord> {
    open(home, genesis()).unwrap().restored.log
}

#[test]
fn records_of_any_size_come_back_in_order() {
    let home = tempfile::tempdir().unwrap();
    let records: Vec<LogRecord> =
        std::iter::once(large()).chain((1..=400).map(signed)).chain([large()]).collect();
    assert!(records[0].encode().len() > 3 * PART_BYTES);
    append_all(home.path(), &records[..200]);
    append_all(home.path(), &records[200..]);
    assert!(log(home.path()) == records);
}

/// What lets the database take the bytes that were made for the log.
#[test]
fn a_block_is_written_alike_in_the_log_and_in_the_database() {
    let LogRecord::Block(block) = large() else { panic!("a block") };
    assert_eq!(large().encode(), codec::encode(&Decided::Block(block)));
}

#[test]
fn a_record_whose_last_parts_a_crash_has_cut_off_is_forgotten() {
    let home = tempfile::tempdir().unwrap();
    append_all(home.path(), &[signed(1)]);
    let (mut wal, _) = Wal::open(&home.path().join("wal"), genesis().network_id().0, Arc::new(Disk)).unwrap();
    let first_part = [&[MORE_FOLLOW], &large().encode()[..PART_BYTES]].concat();
    wal.append(&first_part).unwrap();
    wal.sync().unwrap();
    drop(wal);
    append_all(home.path(), &[signed(2)]);
    assert!(log(home.path()) == [signed(1), signed(2)]);
}

#[test]
fn what_is_on_its_way_to_the_disks_is_bounded_in_bytes() {
    let home = tempfile::tempdir().unwrap();
    let (sender, mut events) = unbounded_channel();
    let mut persistence = Persistence::start(open(home.path(), genesis()).unwrap(), &sender).unwrap();
    for _ in 0..4 {
        persistence.append(&large()).unwrap();
        assert!(persistence.logging_bytes <= BYTES_IN_FLIGHT + PART_BYTES, "{}", persistence.logging_bytes);
    }
    assert!(!persistence.unlogged.is_empty(), "no report was taken, so the rest waits");
    let blocks = vec![(1, vec![0; MAX_BACKLOG_BYTES].into())];
    persistence.submit(Batch { blocks, last_height: 1, ..Batch::default() });
    assert!(persistence.is_congested());
    while persistence.synced_up_to() < persistence.appended() || persistence.is_congested() {
        match events.blocking_recv().unwrap() {
            DiskEvent::Wal(WalEvent::Synced { ticket, .. }) => persistence.synced(ticket).unwrap(),
            DiskEvent::Writer(WriterEvent::Committed { batches, wal_sequence, .. }) => {
                persistence.committed(batches, wal_sequence);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((persistence.logging_bytes, persistence.committing_bytes), (0, 0));
    persistence.close();
}
