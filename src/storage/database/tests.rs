//! The database against faults, foreign files and flipped bytes.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::storage::faulty::{Fault, FaultyDisk, FaultyFile};

const NETWORK: NetworkId = [7; 32];

fn batch(height: u64) -> Batch {
    let key = |number: u64| format!("key {number}").into_bytes();
    Batch {
        blocks: vec![(height, vec![height as u8; 900].into())],
        proofs: vec![(height, vec![!height as u8; 300])],
        state_changes: vec![
            (key(height), Some(vec![height as u8; 50])),
            (key(height.saturating_sub(2)), None),
            (b"tip".to_vec(), Some(height.to_le_bytes().to_vec())),
        ],
        transactions: vec![([height as u8; 32], TransactionLocation { height, position: 3 })],
        last_height: height,
        wal_sequence: height * 10,
        ..Batch::default()
    }
}

/// What is there is what the batches up to `last` leave, no more and no less.
fn check_content(snapshot: &Snapshot, last: u64, context: &str) {
    assert_eq!(snapshot.last_height().unwrap(), (last > 0).then_some(last), "{context}");
    assert_eq!(snapshot.wal_sequence().unwrap(), last * 10, "{context}");
    for height in 1..=last {
        let expected = batch(height);
        assert_eq!(snapshot.block(height).unwrap().as_deref(), Some(&*expected.blocks[0].1), "{context}");
        assert_eq!(snapshot.proof(height).unwrap().as_ref(), Some(&expected.proofs[0].1), "{context}");
        let location = snapshot.location(&[height as u8; 32]).unwrap();
        assert_eq!(location, Some(TransactionLocation { height, position: 3 }), "{context}");
    }
    let state = (1 + last.min(2)) * u64::from(last > 0);
    let expected = Summary { blocks: last, proofs: last, state_keys: state, transactions: last, peers: 0 };
    assert_eq!(snapshot.check().unwrap(), expected, "{context}");
}

fn failure(opened: Result<Database, DatabaseError>) -> DatabaseError {
    match opened {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[test]
fn batches_are_read_back_and_taken_back() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("chain.redb");
    let database = Database::create(&path, NETWORK).unwrap();
    check_content(&database.snapshot().unwrap(), 0, "empty");
    database.commit(&batch(1)).unwrap();
    let before = database.snapshot().unwrap();
    database.commit_all(&[batch(2), batch(3)]).unwrap();
    check_content(&before, 1, "an older snapshot does not change");
    check_content(&database.snapshot().unwrap(), 3, "after three");
    let rollback = Batch {
        removed_heights: vec![3, 2],
        removed_transactions: vec![[3; 32], [2; 32]],
        blocks: vec![(2, b"other".as_slice().into())],
        last_height: 2,
        wal_sequence: 5,
        ..Batch::default()
    };
    database.commit(&rollback).unwrap();
    assert_eq!(database.block(2).unwrap().unwrap(), b"other");
    assert_eq!(database.block(3).unwrap(), None);
    assert_eq!(database.proof(2).unwrap(), None);
    assert_eq!(database.location(&[2; 32]).unwrap(), None);
    assert_eq!(database.last_height().unwrap(), Some(2));
    assert_eq!(database.wal_sequence().unwrap(), 30, "never goes back");

    let peer = (b"peer".to_vec(), Some(b"address".to_vec()));
    database.change_peers(&[peer.clone(), (b"none".to_vec(), None)]).unwrap();
    let mut peers = Vec::new();
    let snapshot = database.snapshot().unwrap();
    snapshot.for_each_peer(|key, value| peers.push((key.to_vec(), Some(value.to_vec())))).unwrap();
    assert_eq!(peers, [peer]);
    let mut keys = Vec::new();
    snapshot.for_each_state(|key, _| keys.push(String::from_utf8(key.to_vec()).unwrap())).unwrap();
    assert_eq!(keys, ["key 2", "key 3", "tip"]);
    assert_eq!(snapshot.state(b"tip").unwrap().unwrap(), 3_u64.to_le_bytes());
}

#[test]
fn what_undoes_heights_is_kept_as_long_as_it_is_needed() {
    let home = tempfile::tempdir().unwrap();
    let database = Database::create(&home.path().join("chain.redb"), NETWORK).unwrap();
    let undo = |database: &Database| database.snapshot().unwrap().undo().unwrap();
    let heights = [2, 3, 4].map(|height| (height, vec![height as u8; 10])).to_vec();
    database.commit(&Batch { undo: heights.clone(), undo_from: 2, ..batch(4) }).unwrap();
    database.commit(&Batch { proofs: vec![(4, vec![1])], last_height: 4, ..Batch::default() }).unwrap();
    assert_eq!(undo(&database), heights, "a proof drops nothing");
    database.commit(&Batch { removed_heights: vec![4], last_height: 3, ..Batch::default() }).unwrap();
    assert_eq!(undo(&database), heights[..2], "it goes with its height");
    database.commit(&Batch { undo_from: 3, last_height: 3, ..Batch::default() }).unwrap();
    assert_eq!(undo(&database), heights[1..2]);
    database.commit(&Batch { undo_from: 9, last_height: 3, ..Batch::default() }).unwrap();
    assert_eq!(undo(&database), []);
    database.snapshot().unwrap().check().unwrap();
}

#[test]
fn a_database_of_version_one_is_brought_to_the_present_one() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("chain.redb");
    let database = Database::create(&path, NETWORK).unwrap();
    database.commit(&batch(1)).unwrap();
    database
        .write(|transaction| {
            transaction.delete_table(UNDO)?;
            put_meta(transaction, FORMAT, &WITHOUT_UNDO.to_le_bytes())
        })
        .unwrap();
    assert!(database.snapshot().unwrap().undo().is_err());
    drop(database);
    for _ in 0..2 {
        let database = Database::open(&path, NETWORK).unwrap();
        assert_eq!(database.snapshot().unwrap().meta(FORMAT).unwrap(), FORMAT_VERSION.to_le_bytes());
        assert_eq!(database.snapshot().unwrap().undo().unwrap(), []);
        check_content(&database.snapshot().unwrap(), 1, "as before");
    }
}

#[test]
fn ranges_stop_at_gaps_and_bounds() {
    let home = tempfile::tempdir().unwrap();
    let database = Database::create(&home.path().join("chain.redb"), NETWORK).unwrap();
    let blocks = [1, 2, 3, 5].map(|height| (height, vec![height as u8; 100].into())).to_vec();
    database.commit(&Batch { blocks, last_height: 5, ..Batch::default() }).unwrap();
    let snapshot = database.snapshot().unwrap();
    let heights = |range, bytes| {
        let blocks = snapshot.blocks(range, bytes).unwrap();
        blocks.into_iter().map(|(height, _)| height).collect::<Vec<_>>()
    };
    assert_eq!(heights(1..=9, 1000), [1, 2, 3]);
    assert_eq!(heights(2..=2, 1000), [2]);
    assert_eq!(heights(1..=9, 200), [1, 2]);
    assert_eq!(heights(1..=9, 0), [1], "at least one");
    assert_eq!(heights(4..=9, 1000), [0; 0], "the first is missing");
}

#[test]
fn whatever_fails_committed_batches_are_there() {
    let path = Path::new("chain.redb");
    let run = |disk: &FaultyDisk| -> u64 {
        let mut committed = 0;
        let mut run = || -> Result<(), DatabaseError> {
            let database = Database::open_in(FaultyFile::new(disk, path), path, NETWORK)?;
            for height in 1..=4 {
                database.commit(&batch(height))?;
                committed = height;
            }
            Ok(())
        };
        let _ = run();
        committed
    };
    let made = |seed| {
        let disk = FaultyDisk::new(seed);
        drop(Database::create_in(FaultyFile::new(&disk, path), path, NETWORK).unwrap());
        disk
    };
    let disk = made(0);
    let first = disk.operations();
    assert_eq!(run(&disk), 4);
    let mut lost_last = 0;
    for fault in [Fault::PowerLoss, Fault::Tear, Fault::Error, Fault::Full] {
        for operation in first..disk.operations() {
            for seed in 0..2 {
                let context = format!("{fault:?} at {operation}, seed {seed}");
                let disk = made(seed);
                disk.fail_at(operation, fault);
                let committed = run(&disk);
                disk.crash();
                let database = Database::open_in(FaultyFile::new(&disk, path), path, NETWORK)
                    .unwrap_or_else(|error| panic!("{context}: {error}"));
                let last = database.last_height().unwrap().unwrap_or(0);
                assert!((committed..=committed + 1).contains(&last), "{context}: {last} of {committed}");
                check_content(&database.snapshot().unwrap(), last, &context);
                lost_last += u64::from(committed < 4);
                database.commit(&batch(last + 1)).unwrap();
                check_content(&database.snapshot().unwrap(), last + 1, &context);
            }
        }
    }
    assert!(lost_last > 0, "faults happened");
}

#[test]
fn a_full_disk_is_said_and_poisons() {
    let path = Path::new("chain.redb");
    let disk = FaultyDisk::new(0);
    let database = Database::create_in(FaultyFile::new(&disk, path), path, NETWORK).unwrap();
    database.commit(&batch(1)).unwrap();
    disk.fail_at(disk.operations(), Fault::Full);
    let error = database.commit(&batch(2)).unwrap_err();
    assert!(matches!(error, DatabaseError::NoSpace(_)), "{error}");
    let error = database.commit(&batch(2)).unwrap_err();
    assert!(matches!(&error, DatabaseError::Poisoned { first, .. } if first.contains("no space")), "{error}");
}

#[test]
fn missing_present_foreign_and_busy_files_are_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("chain.redb");
    assert!(matches!(failure(Database::open(&path, NETWORK)), DatabaseError::Absent(_)));
    assert!(!path.exists(), "opening makes nothing");
    let database = Database::create(&path, NETWORK).unwrap();
    assert!(matches!(failure(Database::open(&path, NETWORK)), DatabaseError::InUse(_)));
    assert!(matches!(failure(Database::create(&path, NETWORK)), DatabaseError::Exists(_)));
    drop(database);
    let error = failure(Database::open(&path, [8; 32]));
    assert!(
        matches!(&error, DatabaseError::ForeignNetwork { found, .. } if *found == "07".repeat(32)),
        "{error}"
    );
    let database = Database::open(&path, NETWORK).unwrap();
    database.write(|transaction| put_meta(transaction, FORMAT, &9_u32.to_le_bytes())).unwrap();
    drop(database);
    let error = failure(Database::open(&path, NETWORK));
    assert!(matches!(error, DatabaseError::Version { found: 9, .. }), "{error}");
}

#[test]
fn damaged_files_are_named() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("chain.redb");
    let database = Database::create(&path, NETWORK).unwrap();
    database.commit_all(&[batch(1), batch(2)]).unwrap();
    drop(database);
    let sound = fs::read(&path).unwrap();
    let cases: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("header only", sound[..320].to_vec()),
        ("half", sound[..sound.len() / 2].to_vec()),
        ("no database", b"nothing of the sort ".repeat(1000)),
        ("magic", [&[sound[0] ^ 1], &sound[1..]].concat()),
    ];
    for (case, bytes) in cases {
        fs::write(&path, bytes).unwrap();
        let error = failure(Database::open(&path, NETWORK));
        assert!(matches!(error, DatabaseError::Damaged { .. }), "{case}: {error}");
        for word in ["chain.redb", "damaged", "backup"] {
            assert!(error.to_string().contains(word), "{case}: {error}");
        }
    }
}

#[test]
fn a_flipped_byte_is_never_a_wrong_answer() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("chain.redb");
    let database = Database::create(&path, NETWORK).unwrap();
    database.commit_all(&[batch(1), batch(2)]).unwrap();
    drop(database);
    let sound = fs::read(&path).unwrap();
    let mut found = 0;
    // A block's and a proof's content, wherever it stands.
    for content in [&*batch(1).blocks[0].1, &batch(2).proofs[0].1] {
        let place = sound.windows(content.len()).position(|window| window == content).unwrap();
        let mut changed = sound.clone();
        changed[place + 7] ^= 1;
        fs::write(&path, changed).unwrap();
        let checked = Database::open(&path, NETWORK).and_then(|database| database.snapshot()?.check());
        let error = checked.unwrap_err();
        assert!(matches!(error, DatabaseError::Damaged { .. }), "{error}");
        found += 1;
    }
    assert_eq!(found, 2);
    // Samples of all other bytes: an error, or the right content.
    for place in (0..sound.len()).step_by(sound.len() / 500) {
        let mut changed = sound.clone();
        changed[place] ^= 0x20;
        fs::write(&path, changed).unwrap();
        let checked = Database::open(&path, NETWORK).and_then(|database| {
            let snapshot = database.snapshot()?;
            snapshot.check().map(|summary| (summary, snapshot))
        });
        if let Ok((_, snapshot)) = checked {
            check_content(&snapshot, 2, &format!("byte {place}"));
        }
    }
}
