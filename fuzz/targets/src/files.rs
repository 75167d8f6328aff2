//! What the program reads from files, by people's hands and its own: each reader says what is wrong, or reads.

use crate::{decoders::select, draw, world};
use arbitrary::Unstructured;
use conclave::{
    archive::{
        self, Writer,
        format::{Entry, Tip},
    },
    chat::Said,
    config::{file, voidphone},
    genesis_file,
    keys::KeyFile,
    preflib::Election,
    storage::{FileSystem, LogFile, SEGMENT_BYTES, Wal},
};
use conclave_ledger::{block::Decided, chain::Chain, codec};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const PATH: &str = "/fuzzed/file";

/// What is text: PrefLib's elections, INI files, genesis, key and configuration files. The first byte says which.
pub fn texts(bytes: &[u8]) {
    select(&[preflib, ini, genesis, key, configuration], bytes);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn preflib(bytes: &[u8]) {
    match Election::read(&text(bytes)) {
        Ok(election) => {
            let voters: u64 = election.orders.iter().map(|order| u64::from(order.count)).sum();
            assert_eq!(election.ballots().count() as u64, voters);
            let places = election.orders.iter().flat_map(|order| order.ranking.iter().flatten());
            assert!(places.into_iter().all(|place| usize::from(*place) < election.alternatives.len()));
        }
        Err(error) => assert!(error.line > 0 && !error.to_string().is_empty()),
    }
}

fn ini(bytes: &[u8]) {
    if let Err(error) = voidphone::parse(Path::new(PATH), &text(bytes)) {
        assert!(error.to_string().contains(PATH), "an error names the file: {error}");
    }
}

fn genesis(bytes: &[u8]) {
    match genesis_file::parse(Path::new(PATH), &text(bytes)) {
        Ok(genesis) => {
            // What is read is a network that can begin, and has an encoding.
            let encoded = codec::encode(&genesis);
            assert_eq!(codec::decode(&encoded, encoded.len()).as_ref(), Ok(&genesis));
            assert_eq!(Chain::new(Arc::new(genesis)).tip().height, 0);
        }
        Err(error) => assert!(error.to_string().contains(PATH), "an error names the file: {error}"),
    }
}

fn key(bytes: &[u8]) {
    match KeyFile::parse(Path::new(PATH), &text(bytes)) {
        Ok(file) => assert_eq!(file.public().0.len(), 32),
        Err(error) => assert!(error.to_string().contains(PATH), "an error names the file: {error}"),
    }
}

fn configuration(bytes: &[u8]) {
    if let Err(error) = file::parse(Path::new("/fuzzed"), Path::new(PATH), &text(bytes)) {
        assert!(error.to_string().contains(PATH), "an error names the file: {error}");
    }
}

/// What people say to everybody: a signed line in an announcement.
pub fn chat(bytes: &[u8]) {
    if let Ok(said) = Said::decode(world::network(), bytes) {
        assert_eq!(said.encode(), bytes);
        assert!(
            !said.text.chars().any(char::is_control),
            "what is shown on a terminal has no control characters"
        );
    }
}

/// An archive: whatever the bytes are, it is good or the height and the rule that is broken are named.
pub fn archive(bytes: &[u8]) {
    // The fuzzer cannot make a digest, so half of the inputs are entries that are framed here.
    let Some((first, rest)) = bytes.split_first() else { return };
    let framed = match first % 2 {
        0 => rest.to_vec(),
        _ => archive_of(&[codec::decode(rest, rest.len()).ok()].into_iter().flatten().collect::<Vec<_>>()),
    };
    if let Ok(report) = archive::verify(world::GENESIS.clone(), framed.as_slice(), |_, _| {}) {
        assert_eq!(report.network, world::network());
    }
}

/// An archive of these heights, with a tip that says where they would lead.
fn archive_of(heights: &[Decided]) -> Vec<u8> {
    let chain = Chain::new(world::GENESIS.clone());
    let to = heights.len() as u64;
    let tip = Tip { height: to, hash: chain.tip().hash, state: chain.state_hash(), proofs: Vec::new() };
    let begin = Entry::Begin { format: archive::format::FORMAT, network: world::network(), from: 1, to };
    let written = Writer::new(Vec::new()).and_then(|mut writer| {
        writer.write(&begin)?;
        heights.iter().try_for_each(|height| writer.write(&Entry::Height(height.clone())))?;
        writer.write(&Entry::Tip(tip))?;
        writer.finish(to)
    });
    written.unwrap_or_default()
}

/// A segment of the write-ahead log: records and marks with good checksums and any numbers, and then damage. It is
/// opened, or the damage is named; what is open can be written, closed and opened again.
pub fn log(bytes: &[u8]) {
    let source = &mut Unstructured::new(bytes);
    let (folder, disk) = (Path::new("/fuzzed"), Arc::new(Memory::default()));
    let first = draw::number(source, &world::KNOWN);
    let name = format!("wal-{first:020}.log");
    disk.files().insert(folder.join(name), Arc::new(Mutex::new(segment(first, source))));
    let open = || Wal::open(folder, world::network().0, disk.clone());
    let Ok((mut wal, replay)) = open() else { return };
    let appended = wal.append(b"after").and_then(|_| wal.sync());
    assert!(appended.is_ok(), "a log that is open can be written: {appended:?}");
    drop(wal);
    match open() {
        Ok((_, again)) => assert_eq!(again.records.len(), replay.records.len() + 1, "a record is lost"),
        Err(error) => panic!("it was opened and written, and now: {error}"),
    }
}

/// The bytes of a segment, as `src/storage/wal/record.rs` describes them.
fn segment(first: u64, source: &mut Unstructured<'_>) -> Vec<u8> {
    let salt: u64 = 7;
    let mut bytes = [b"CONCLWAL".as_slice(), &1u32.to_le_bytes(), &world::network().0].concat();
    bytes.extend([first.to_le_bytes(), salt.to_le_bytes()].concat());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    let mut next = first;
    for _ in 0..draw::below(source, 8) {
        let payload = vec![7; draw::below(source, 40)];
        let (mut length, mut sequence, mut synced) = (payload.len() as u32, next, next.wrapping_sub(1));
        match draw::below(source, 8) {
            0 => sequence = draw::number(source, &world::KNOWN),
            1 => synced = draw::number(source, &world::KNOWN),
            2 => length = draw::number(source, &world::KNOWN) as u32,
            // A mark.
            3 => (length, sequence) = (u32::MAX, synced),
            _ => next = next.wrapping_add(1),
        }
        let fields =
            [length.to_le_bytes().as_slice(), &sequence.to_le_bytes(), &synced.to_le_bytes()].concat();
        let payload = if length == u32::MAX { Vec::new() } else { payload };
        let covered = [salt.to_le_bytes().as_slice(), &fields, &payload].concat();
        bytes.extend_from_slice(&fields[..4]);
        bytes.extend(crc32fast::hash(&covered).to_le_bytes());
        bytes.extend_from_slice(&fields[4..]);
        bytes.extend(payload);
    }
    for _ in 0..draw::below(source, 4) {
        let (place, value) = (draw::below(source, bytes.len()), source.arbitrary().unwrap_or(0));
        bytes[place] = value;
    }
    // Now and then the file is too short.
    if !draw::chance(source, 16) {
        bytes.resize(SEGMENT_BYTES, 0);
    }
    bytes
}

type Content = Arc<Mutex<Vec<u8>>>;

/// Files in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<PathBuf, Content>>);

struct Handle(Content);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Content>> {
        lock(&self.0)
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl FileSystem for Memory {
    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        let names =
            self.files().keys().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files().get(path).map(|content| lock(content).clone()).ok_or_else(missing)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(Handle(self.files().entry(path.into()).or_default().clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.files().remove(from).ok_or_else(missing)?;
        self.files().insert(to.into(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files().remove(path).map(drop).ok_or_else(missing)
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl LogFile for Handle {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut content, start) = (lock(&self.0), offset as usize);
        let end = start + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
