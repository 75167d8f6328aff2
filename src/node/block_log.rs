//! The block log: a line of JSON for every block as it is adopted or undone, for people who debug.
//!
//! ```text
//! {"at":1700000000123,"what":"adopted","height":7,"hash":"00…","parent":"00…","by":"…","timestamp":…,"transactions":2,"bits":16.3}
//! {"at":1700000000456,"what":"undone","height":7, …}
//! ```
//! `bits` is the work of the block, as the logarithm of the hashes that its target takes; absent where none decides. Lines are
//! written by a thread of their own. Where the disk does not keep up, lines are left out and the next one says how many.

use conclave_ledger::{
    block::{Block, Decided},
    hash::Hash,
    keys::PublicKey,
};
use serde::Serialize;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{Builder, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

/// Lines that wait for the disk.
const QUEUE: usize = 4096;

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    Adopted,
    Undone,
}

#[derive(Serialize)]
struct Line {
    at: u64,
    what: What,
    height: u64,
    hash: Hash,
    parent: Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    transactions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<f64>,
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The log, if there is one.
#[derive(Default)]
pub(super) struct BlockLog {
    lines: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    left_out: u64,
}

impl BlockLog {
    /// A log that is added to the end of a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (sender, lines) = sync_channel(QUEUE);
        let thread = Builder::new().name("block log".into()).spawn(move || write_all(file, &lines))?;
        Ok(Self { lines: Some(sender), thread: Some(thread), left_out: 0 })
    }

    /// Notes what became of a decided height.
    pub(super) fn note(&mut self, what: What, decided: &Decided) {
        let Some(lines) = &self.lines else { return };
        let block = decided.block();
        let header = block.map(|block| &block.header);
        let target = header.and_then(|header| header.work?.target.target());
        let line = Line {
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
            what,
            height: decided.height(),
            hash: decided.hash(),
            parent: decided.parent(),
            by: header.map(|header| header.leader),
            timestamp: header.map(|header| header.timestamp),
            transactions: block.map_or(0, |block: &std::sync::Arc<Block>| block.transactions.len()),
            bits: target.map(|target| (target.work().as_f64().log2() * 100.0).round() / 100.0),
            left_out: self.left_out,
        };
        let text = serde_json::to_string(&line).expect("a line has only texts and numbers");
        match lines.try_send(text) {
            Ok(()) => self.left_out = 0,
            Err(TrySendError::Full(_)) => self.left_out += 1,
            // The thread has said why it ended.
            Err(TrySendError::Disconnected(_)) => self.lines = None,
        }
    }
}

impl Drop for BlockLog {
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the block log panicked");
        }
    }
}

fn write_all(mut file: File, lines: &Receiver<String>) {
    for mut line in lines {
        line.push('\n');
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::error!(%error, "the block log cannot be written any more");
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use conclave_ledger::block::Skip;

    #[test]
    fn lines_are_added_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks.log");
        let decided = Decided::Skip(Skip { network: Hash::ZERO, height: 3, parent: Hash([7; 32]) });
        for what in [What::Adopted, What::Undone] {
            let mut log = BlockLog::open(&path).unwrap();
            log.note(what, &decided);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["what"], &lines[1]["what"]), (&"adopted".into(), &"undone".into()));
        assert_eq!(lines[1]["parent"], Hash([7; 32]).to_string());
        assert_eq!((&lines[1]["height"], &lines[1]["transactions"]), (&3.into(), &0.into()));
        BlockLog::default().note(What::Adopted, &decided);
    }
}
