//! The log against faults: at every operation, in every byte.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::storage::{
    Disk,
    faulty::{Fault, FaultyDisk},
};

const NETWORK: NetworkId = [7; 32];
const SEEDS: u64 = 2;

fn directory() -> &'static Path {
    Path::new("wal")
}

fn open(disk: &FaultyDisk) -> Result<(Wal, Replay), WalError> {
    Wal::open(directory(), NETWORK, Arc::new(disk.clone()))
}

fn payload(number: u64) -> Vec<u8> {
    // Some span several sectors, so that a torn write can keep any of them.
    let length = [3, 700, 0, 5000, 40][usize::try_from(number % 5).unwrap()];
    (0..length).map(|place| (number as usize * 31 + place) as u8).collect()
}

/// Appends and syncs in groups of different sizes, with marks, until something fails. Says how many records were
/// acknowledged and how many were appended at all, counted from `first`.
fn script(disk: &FaultyDisk, groups: u64) -> (u64, u64) {
    let (mut acknowledged, mut appended) = (0, 0);
    let mut run = || -> Result<(), WalError> {
        let (mut wal, _) = open(disk)?;
        for group in 0..groups {
            for _ in 0..=group % 3 {
                appended += 1;
                assert_eq!(wal.append(&payload(appended))?, appended);
            }
            acknowledged = wal.sync()?;
            if group % 2 == 0 {
                wal.mark()?;
            }
        }
        Ok(())
    };
    let _ = run();
    (acknowledged, appended)
}

/// All that was acknowledged is there, in order, and nothing that was not appended.
fn check(replay: &Replay, acknowledged: u64, appended: u64, context: &str) {
    let count = replay.records.len() as u64;
    assert!((acknowledged..=appended).contains(&count), "{context}: {count} of {acknowledged}..={appended}");
    for (record, number) in replay.records.iter().zip(1..) {
        assert_eq!((record.sequence, &record.payload), (number, &payload(number)), "{context}");
    }
}

#[test]
fn whatever_fails_acknowledged_records_are_there() {
    let disk = FaultyDisk::new(0);
    script(&disk, 6);
    let operations = disk.operations();
    assert!(operations > 20, "the script does something");
    let mut cuts = 0;
    for fault in [Fault::PowerLoss, Fault::Tear, Fault::Error, Fault::Full] {
        for operation in 0..operations {
            for seed in 0..SEEDS {
                let context = format!("{fault:?} at {operation}, seed {seed}");
                let disk = FaultyDisk::new(seed);
                disk.fail_at(operation, fault);
                let (acknowledged, appended) = script(&disk, 6);
                disk.crash();
                let (mut wal, replay) = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
                check(&replay, acknowledged, appended, &context);
                cuts += replay.cuts.len();
                // It goes on, and a second crash finds that too.
                let next = replay.records.len() as u64 + 1;
                assert_eq!(wal.append(&payload(next)).unwrap(), next, "{context}");
                wal.sync().unwrap();
                disk.crash();
                let (_, replay) = open(&disk).unwrap_or_else(|error| panic!("{context}, again: {error}"));
                check(&replay, next, next, &context);
                assert_eq!(replay.cuts, [], "{context}: cut off once and for all");
            }
        }
    }
    assert!(cuts > 0, "torn writes happened");
}

#[test]
fn a_full_disk_is_said_and_poisons() {
    let disk = FaultyDisk::new(1);
    let (mut wal, _) = open(&disk).unwrap();
    wal.append(b"kept").unwrap();
    wal.sync().unwrap();
    disk.fail_at(disk.operations(), Fault::Full);
    wal.append(b"lost").unwrap();
    let error = wal.sync().unwrap_err();
    assert!(matches!(error, WalError::NoSpace { .. }), "{error}");
    for error in [wal.sync().unwrap_err(), wal.append(b"more").unwrap_err(), wal.mark().unwrap_err()] {
        assert!(matches!(&error, WalError::Poisoned { first } if first.contains("no space")), "{error}");
    }
    assert!(wal.remove_before(9).is_err());
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let disk = FaultyDisk::new(1);
    let (mut wal, _) = open(&disk).unwrap();
    wal.append(b"lost").unwrap();
    // The write succeeds, the sync after it fails and drops the pages; another sync would succeed.
    disk.fail_at(disk.operations() + 1, Fault::Error);
    assert!(matches!(wal.sync(), Err(WalError::Io { .. })));
    assert!(matches!(wal.sync(), Err(WalError::Poisoned { .. })));
    drop(wal);
    let (wal, replay) = open(&disk).unwrap();
    assert_eq!((replay.records.len(), wal.last_sequence()), (0, 0));
}

/// Three groups of records, the last one marked or not; says where the last group begins and ends.
fn three_groups(marked: bool) -> (FaultyDisk, usize, usize) {
    let disk = FaultyDisk::new(1);
    let (mut wal, _) = open(&disk).unwrap();
    let mut last_group = 0;
    for group in [1, 2, 2] {
        last_group = wal.offset;
        for _ in 0..group {
            wal.append(&[0x5a; 30]).unwrap();
        }
        wal.sync().unwrap();
    }
    if marked {
        wal.mark().unwrap();
    }
    (disk, last_group, wal.offset)
}

#[test]
fn every_flipped_byte_is_damage_unless_nothing_says_it_was_durable() {
    let segment = segment::path(directory(), 1);
    for marked in [false, true] {
        let (disk, last_group, end) = three_groups(marked);
        let mut sound = Vec::new();
        disk.edit(&segment, |bytes| sound.clone_from(bytes));
        // Everything up to a bit behind the end, then samples of the zeros.
        let places = (0..end + 64).chain((end + 64..SEGMENT_BYTES).step_by(90_007));
        for place in places {
            disk.edit(&segment, |bytes| {
                bytes.clone_from(&sound);
                bytes[place] ^= 0x10;
            });
            let opened = open(&disk);
            let context = format!("byte {place}, marked {marked}");
            if place < last_group || (marked && place < end) {
                let Err(error) = opened else { panic!("{context}: it opened") };
                let text = error.to_string();
                assert!(text.contains("wal-00000000000000000001.log"), "{context}: {text}");
            } else {
                let (_, replay) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
                let kept = replay.records.len();
                assert_eq!(replay.cuts.len(), 1, "{context}");
                assert!(if place < end { (3..5).contains(&kept) } else { kept == 5 }, "{context}: {kept}");
            }
        }
    }
}

#[test]
fn damage_says_file_offset_and_what_to_do() {
    let (disk, ..) = three_groups(true);
    disk.edit(&segment::path(directory(), 1), |bytes| bytes[SEGMENT_HEADER_BYTES + 30] ^= 1);
    let Err(error) = open(&disk) else { panic!("it opened") };
    assert!(matches!(error, WalError::Damaged { offset: 64, .. }), "{error}");
    for word in ["wal-00000000000000000001.log", "byte 64", "Restore", "NEW validator key", "second vote"] {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
}

#[test]
fn foreign_other_and_short_files_are_told_apart() {
    let path = segment::path(directory(), 1);
    let (disk, ..) = three_groups(true);
    let foreign = Wal::open(directory(), [8; 32], Arc::new(disk.clone()));
    assert!(matches!(foreign, Err(WalError::ForeignNetwork { found, .. }) if found == "07".repeat(32)));
    disk.edit(&path, |bytes| bytes.truncate(SEGMENT_BYTES / 2));
    assert!(matches!(open(&disk), Err(WalError::Damaged { .. })));
    disk.edit(&path, |bytes| bytes.truncate(10));
    assert!(matches!(open(&disk), Err(WalError::Damaged { offset: 10, .. })));
    disk.edit(&path, |bytes| *bytes = b"something else".repeat(9));
    assert!(matches!(open(&disk), Err(WalError::NotALog { .. })));
    let version = |bytes: &mut Vec<u8>| {
        let header = record::SegmentHeader { network: NETWORK, first: 1, salt: 1 };
        bytes.splice(.., header.encode());
        bytes[8] = 9;
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    };
    disk.edit(&path, version);
    assert!(matches!(open(&disk), Err(WalError::Version { found: 9, .. })));
}

#[test]
fn numbers_that_no_log_reaches_are_damage() {
    let with = |first: u64, records: &dyn Fn(&mut Vec<u8>)| {
        let (disk, salt) = (FaultyDisk::new(1), 7);
        drop(open(&disk).unwrap());
        disk.remove(&segment::path(directory(), 1)).unwrap();
        let mut bytes = record::SegmentHeader { network: NETWORK, first, salt }.encode().to_vec();
        records(&mut bytes);
        bytes.resize(SEGMENT_BYTES, 0);
        disk.open(&segment::path(directory(), first)).unwrap();
        disk.edit(&segment::path(directory(), first), |file| file.clone_from(&bytes));
        open(&disk)
    };
    for first in [0, u64::MAX >> 1, (u64::MAX >> 1) + 1, u64::MAX] {
        let opened = with(first, &|bytes| {
            if let Some(before) = first.checked_sub(1) {
                record::encode_record(bytes, 7, first, before, b"it");
            }
        });
        if first == u64::MAX >> 1 {
            let (mut wal, replay) = opened.unwrap();
            assert_eq!((replay.records.len(), wal.append(b"next").unwrap()), (1, first + 1));
            continue;
        }
        let Err(error) = opened else { panic!("{first}: it opened") };
        assert!(matches!(error, WalError::Damaged { offset: 44, .. }), "{first}: {error}");
    }
    let Err(error) = with(1, &|bytes| bytes.extend(record::encode_mark(7, u64::MAX))) else {
        panic!("it opened")
    };
    assert!(matches!(error, WalError::Damaged { offset: 64, .. }), "{error}");
}

/// A log of three segments, each holding three of the longest records.
fn three_segments(disk: &FaultyDisk) -> Wal {
    let (mut wal, _) = open(disk).unwrap();
    for sequence in 1..=8 {
        assert_eq!(wal.append(&vec![9; MAX_RECORD_BYTES]).unwrap(), sequence);
        wal.sync().unwrap();
        wal.prepare().unwrap();
        wal.spare.finish().unwrap();
    }
    assert_eq!(wal.segments, [1, 4, 7]);
    wal
}

#[test]
fn segments_follow_one_another_and_are_removed_whole() {
    let disk = FaultyDisk::new(1);
    let mut wal = three_segments(&disk);
    wal.remove_before(6).unwrap();
    assert_eq!(wal.first_sequence(), 4);
    wal.remove_before(100).unwrap();
    assert_eq!((wal.first_sequence(), wal.last_sequence()), (7, 8), "the active one stays");
    disk.crash();
    let (wal, replay) = open(&disk).unwrap();
    assert_eq!(replay.records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [7, 8]);
    assert!(wal.check_covers(6).is_ok() && wal.check_covers(8).is_ok());
    for covered in [5, 9] {
        assert!(matches!(wal.check_covers(covered), Err(WalError::Missing { .. })), "{covered}");
    }
    assert_eq!(disk.paths(), [segment::path(directory(), 7)], "no spare is left over");
}

#[test]
fn a_lost_or_shortened_segment_in_the_middle_is_an_error() {
    let disk = FaultyDisk::new(1);
    three_segments(&disk);
    disk.edit(&segment::path(directory(), 4), |bytes| bytes[SEGMENT_HEADER_BYTES..].fill(0));
    assert!(matches!(open(&disk), Err(WalError::Missing { .. })));
    disk.remove(&segment::path(directory(), 4)).unwrap();
    let Err(error) = open(&disk) else { panic!("it opened") };
    assert!(error.to_string().contains("records 4 to 6"), "{error}");
}

#[test]
fn faults_while_segments_change_lose_nothing() {
    let run = |disk: &FaultyDisk| -> u64 {
        let mut acknowledged = 0;
        let mut run = || -> Result<(), WalError> {
            let (mut wal, _) = open(disk)?;
            for _ in 0..5 {
                wal.append(&vec![9; MAX_RECORD_BYTES])?;
                acknowledged = wal.sync()?;
            }
            wal.remove_before(5)
        };
        let _ = run();
        acknowledged
    };
    let disk = FaultyDisk::new(0);
    run(&disk);
    for fault in [Fault::PowerLoss, Fault::Error] {
        for operation in 0..disk.operations() {
            let context = format!("{fault:?} at {operation}");
            let disk = FaultyDisk::new(operation);
            disk.fail_at(operation, fault);
            let acknowledged = run(&disk);
            disk.crash();
            let (wal, replay) = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(wal.last_sequence() >= acknowledged, "{context}");
            assert!(wal.first_sequence() == 1 || wal.first_sequence() == 4, "{context}");
            assert_eq!(
                replay.records.len() as u64,
                wal.last_sequence() + 1 - wal.first_sequence(),
                "{context}"
            );
        }
    }
}

#[test]
fn a_payload_cannot_pose_as_later_records() {
    let disk = FaultyDisk::new(1);
    let (mut wal, _) = open(&disk).unwrap();
    // A record that says that everything was durable, with a checksum for any salt but the segment's.
    let mut forged = Vec::new();
    record::encode_record(&mut forged, wal.active.salt ^ 1, 9, 8, b"forged");
    wal.append(&forged.repeat(50)).unwrap();
    wal.sync().unwrap();
    disk.edit(&segment::path(directory(), 1), |bytes| bytes[SEGMENT_HEADER_BYTES] ^= 1);
    let (_, replay) = open(&disk).unwrap();
    assert_eq!(
        (replay.records.len(), replay.cuts.len()),
        (0, 1),
        "taken for the torn write that it looks like"
    );
}

#[test]
fn an_overlong_record_changes_nothing() {
    let disk = FaultyDisk::new(1);
    let (mut wal, _) = open(&disk).unwrap();
    let error = wal.append(&vec![0; MAX_RECORD_BYTES + 1]).unwrap_err();
    assert!(matches!(error, WalError::TooLong { bound: MAX_RECORD_BYTES, .. }), "{error}");
    assert_eq!(wal.append(b"fits").unwrap(), 1);
}

#[test]
fn the_real_disk_keeps_it_too() {
    let home = tempfile::tempdir().unwrap();
    let open = || Wal::open(home.path(), NETWORK, Arc::new(Disk)).unwrap();
    let (mut wal, _) = open();
    for number in 1..=20 {
        wal.append(&payload(number)).unwrap();
        wal.sync().unwrap();
    }
    drop(wal);
    let (_, replay) = open();
    check(&replay, 20, 20, "real disk");
}
