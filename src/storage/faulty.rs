//! A disk in memory that fails at a chosen operation and, when the power goes, keeps only what was synced, and of the
//! rest whatever chance decides: single sectors of a write, some of the renames. For tests.

#![allow(clippy::unwrap_used)]

use super::disk::{FileSystem, LogFile};
use std::{
    collections::BTreeMap,
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
            let Content { now, durable } = std::mem::take(&mut state.contents[index]);
            let length = if state.random_below(2) == 0 { now.len() } else { durable.len() };
            let mut kept = durable.clone();
            kept.resize(now.len().max(durable.len()), 0);
            for (place, sector) in now.chunks(SECTOR_BYTES).enumerate() {
                let start = place * SECTOR_BYTES;
                if kept[start..start + sector.len()] != *sector && state.random_below(2) == 0 {
                    kept[start..start + sector.len()].copy_from_slice(sector);
                }
            }
            kept.resize(length, 0);
            state.contents[index] = Content { now: kept.clone(), durable: kept };
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
        let start = usize::try_from(offset).unwrap();
        let now = &mut self.contents[index].now;
        if now.len() < start + written.len() {
            now.resize(start + written.len(), 0);
        }
        now[start..start + written.len()].copy_from_slice(written);
        fault.map_or(Ok(()), |fault| Err(error(fault)))
    }

    fn sync(&mut self, index: usize) -> io::Result<()> {
        let fault = self.step()?;
        let content = &mut self.contents[index];
        match fault {
            None | Some(Fault::Full) => content.durable = content.now.clone(),
            Some(fault) => {
                if fault == Fault::Error {
                    content.now = content.durable.clone();
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
        let mut state = disk.state();
        let index = state.open(path).unwrap();
        state.durable_names.insert(path.into(), index);
        drop(state);
        Self { disk: disk.clone(), index }
    }
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
            None => state.contents[self.index].now.resize(usize::try_from(length).unwrap(), 0),
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
