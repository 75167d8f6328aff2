//! A disk in memory that fails at a chosen operation and, when the power goes, keeps only what was synced, and of the
//! rest whatever chance decides: single sectors of a write, some of the renames. For tests.

#![allow(clippy::unwrap_used)]

use super::{
    Database, DatabaseError, NetworkId,
    disk::{FileSystem, LogFile},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

/// What a disk writes in one piece, in bytes.
const SECTOR_BYTES: usize = 512;

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation, and all after it, fail and do nothing: the power is gone.
    PowerLoss,
    /// A write does its first half, then the power is gone.
    Tear,
    /// This one operation fails with an input/output error; a sync that fails drops what it should have kept.
    Error,
    /// This and all later writes fail: the disk is full.
    Full,
}

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors in which the two may differ.
    dirty: BTreeSet<usize>,
}

impl Content {
    fn write(&mut self, start: usize, bytes: &[u8]) {
        if self.now.len() < start + bytes.len() {
            self.now.resize(start + bytes.len(), 0);
        }
        self.now[start..start + bytes.len()].copy_from_slice(bytes);
        self.dirty.extend(start / SECTOR_BYTES..(start + bytes.len()).div_ceil(SECTOR_BYTES));
    }

    fn set_len(&mut self, length: usize) {
        let from = length.min(self.now.len());
        self.now.resize(length, 0);
        self.dirty.extend(from / SECTOR_BYTES..self.durable.len().max(length).div_ceil(SECTOR_BYTES));
    }

    /// One sector of what was written, as far as the file goes.
    fn sector(&self, sector: usize) -> (usize, &[u8]) {
        let start = (sector * SECTOR_BYTES).min(self.now.len());
        (start, &self.now[start..(start + SECTOR_BYTES).min(self.now.len())])
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let (start, bytes) = self.sector(sector);
            let bytes = bytes.to_vec();
            self.durable[start..start + bytes.len()].copy_from_slice(&bytes);
        }
    }

    fn forget(&mut self) {
        self.now.clone_from(&self.durable);
        self.dirty.clear();
    }
}

/// A change of names that is not durable yet.
enum NameChange {
    Add(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

struct State {
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    changes: Vec<NameChange>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    off: bool,
    random: u64,
}

/// The disk; clones share it.
#[derive(Clone)]
pub(crate) struct FaultyDisk(Arc<Mutex<State>>);

impl std::fmt::Debug for FaultyDisk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("FaultyDisk")
    }
}

impl FaultyDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            contents: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            operations: 0,
            fault: None,
            off: false,
            random: seed,
        })))
    }

    /// Operations so far that change something.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Makes the operation with this number (from 0) go wrong.
    pub(crate) fn fail_at(&self, operation: u64, fault: Fault) {
        self.state().fault = Some((operation, fault));
    }

    /// Power off and on again.
    pub(crate) fn crash(&self) {
        let mut state = self.state();
        let state = &mut *state;
        let kept = state.random_below(state.changes.len() as u64 + 1);
        for change in state.changes.drain(..).take(usize::try_from(kept).unwrap()).collect::<Vec<_>>() {
            apply(&mut state.durable_names, change);
        }
        state.names = state.durable_names.clone();
        for index in 0..state.contents.len() {
            let mut content = std::mem::take(&mut state.contents[index]);
            let (now, durable) = (content.now.len(), content.durable.len());
            let length = if state.random_below(2) == 0 { now } else { durable };
            let mut kept = std::mem::take(&mut content.durable);
            kept.resize(now.max(durable), 0);
            for sector in &content.dirty {
                let (start, sector) = content.sector(*sector);
                if kept[start..start + sector.len()] != *sector && state.random_below(2) == 0 {
                    kept[start..start + sector.len()].copy_from_slice(sector);
                }
            }
            kept.resize(length, 0);
            content.durable = kept;
            content.forget();
            state.contents[index] = content;
        }
        state.fault = None;
        state.off = false;
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn edit(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let index = state.names[path];
        let content = &mut state.contents[index];
        edit(&mut content.now);
        content.durable = content.now.clone();
        content.dirty.clear();
    }

    /// All names of files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn random_below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.random;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }

    /// Counts an operation and says whether it goes wrong.
    fn step(&mut self) -> Result<Option<Fault>, io::Error> {
        if self.off {
            return Err(io::Error::other("the power is gone"));
        }
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, Fault::Full)) if number >= at => Ok(Some(Fault::Full)),
            Some((at, fault)) if number == at => {
                self.off = matches!(fault, Fault::PowerLoss | Fault::Tear);
                Ok(Some(fault))
            }
            _ => Ok(None),
        }
    }

    fn simple_step(&mut self) -> io::Result<()> {
        match self.step()? {
            None | Some(Fault::Full) => Ok(()),
            Some(fault) => Err(error(fault)),
        }
    }

    fn write(&mut self, index: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let fault = self.step()?;
        let written = match fault {
            None => bytes,
            Some(Fault::Tear) => &bytes[..bytes.len() / 2],
            Some(_) => &[],
        };
        self.contents[index].write(usize::try_from(offset).unwrap(), written);
        fault.map_or(Ok(()), |fault| Err(error(fault)))
    }

    fn sync(&mut self, index: usize) -> io::Result<()> {
        let fault = self.step()?;
        let content = &mut self.contents[index];
        match fault {
            None | Some(Fault::Full) => content.sync(),
            Some(fault) => {
                if fault == Fault::Error {
                    content.forget();
                }
                return Err(error(fault));
            }
        }
        Ok(())
    }

    fn open(&mut self, path: &Path) -> io::Result<usize> {
        if let Some(&index) = self.names.get(path) {
            return Ok(index);
        }
        if let Some(fault) = self.step()? {
            return Err(error(fault));
        }
        self.contents.push(Content::default());
        let index = self.contents.len() - 1;
        self.names.insert(path.into(), index);
        self.changes.push(NameChange::Add(path.into(), index));
        Ok(index)
    }
}

fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::PowerLoss | Fault::Tear => io::Error::other("the power is gone"),
        Fault::Error => io::Error::other("input/output error"),
        Fault::Full => io::ErrorKind::StorageFull.into(),
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: NameChange) {
    match change {
        NameChange::Add(path, index) => {
            names.insert(path, index);
        }
        NameChange::Remove(path) => {
            names.remove(&path);
        }
        NameChange::Rename(from, to) => {
            if let Some(index) = names.remove(&from) {
                names.insert(to, index);
            }
        }
    }
}

impl FileSystem for FaultyDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let names = |path: &PathBuf| {
            (path.parent() == Some(directory)).then(|| path.file_name().unwrap().to_str().unwrap().to_owned())
        };
        Ok(self.state().names.keys().filter_map(names).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        let index = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.contents[index].now.clone())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let index = self.state().open(path)?;
        Ok(Box::new(FaultyFile { disk: self.clone(), index }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.simple_step()?;
        apply(&mut state.names, NameChange::Rename(from.into(), to.into()));
        state.changes.push(NameChange::Rename(from.into(), to.into()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.simple_step()?;
        apply(&mut state.names, NameChange::Remove(path.into()));
        state.changes.push(NameChange::Remove(path.into()));
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.simple_step()?;
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

/// A file of the disk, for the log and as redb's storage.
#[derive(Debug)]
pub(crate) struct FaultyFile {
    disk: FaultyDisk,
    index: usize,
}

impl FaultyFile {
    /// Opens or makes a file whose name is durable.
    pub(crate) fn new(disk: &FaultyDisk, path: &Path) -> Self {
        Self::open(disk, path).unwrap()
    }

    fn open(disk: &FaultyDisk, path: &Path) -> io::Result<Self> {
        let mut state = disk.state();
        let index = state.open(path)?;
        state.durable_names.insert(path.into(), index);
        drop(state);
        Ok(Self { disk: disk.clone(), index })
    }
}

/// The database of a home on a disk: opened, or made as by [`Database::create`].
pub(crate) fn database(
    disk: &FaultyDisk,
    path: &Path,
    network: NetworkId,
    may_make: bool,
) -> Result<Database, DatabaseError> {
    let failed = |error| DatabaseError::io(path, error);
    if disk.paths().iter().any(|known| known == path) {
        return Database::open_in(FaultyFile::open(disk, path).map_err(failed)?, path, network);
    }
    if !may_make {
        return Err(DatabaseError::Absent(path.into()));
    }
    let unfinished = path.with_extension("unfinished");
    match disk.remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let file = FaultyFile::open(disk, &unfinished).map_err(failed)?;
    let made = Database::create_in(file, path, network)?;
    disk.rename(&unfinished, path).map_err(failed)?;
    disk.sync_directory(Path::new("")).map_err(failed)?;
    Ok(made)
}

impl LogFile for FaultyFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().write(self.index, offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.state().sync(self.index)
    }
}

impl redb::StorageBackend for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().contents[self.index].now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let state = self.disk.state();
        let bytes = state.contents[self.index].now.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.step()? {
            None => state.contents[self.index].set_len(usize::try_from(length).unwrap()),
            Some(fault) => return Err(error(fault)),
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().sync(self.index)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().write(self.index, offset, bytes)
    }
}
