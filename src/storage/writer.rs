//! The thread that commits batches to the database.
//!
//! Batches come through a bounded queue. The thread gathers what comes within [`PACE`] of the commit before, commits it
//! in one transaction, and reports the last one's height and sequence. The log is what makes things durable; commits in
//! quick succession would only take the disk from it. Reads go on meanwhile, through a clone of the [`Database`].
//!
//! A failure is reported once and ends the thread; what was not reported as committed is in the write-ahead log still.

use super::database::{Batch, Database, DatabaseError};
use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

/// Least time from the end of one commit to the start of the next, while there is more to gather.
const PACE: Duration = Duration::from_millis(100);

/// Most batches that wait in the queue.
pub const WRITER_QUEUE: usize = 64;

/// Most bytes that are merged into one transaction (one batch more may be added to what is below this).
pub const MAX_MERGED_BYTES: usize = 4 << 20;

/// What the thread reports.
#[derive(Debug)]
pub enum WriterEvent {
    /// All batches up to one are durable.
    Committed {
        /// How many they are, since the last report.
        batches: usize,
        /// The `last_height` of the last one.
        height: u64,
        /// The largest `wal_sequence` of them: earlier records of the log are superfluous.
        wal_sequence: u64,
    },
    /// A commit failed. The thread has ended.
    Failed(DatabaseError),
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WriterQueueError {
    /// The disk does not keep up. The batch comes back.
    #[error("{WRITER_QUEUE} batches wait for the database: the disk does not keep up")]
    Full(Box<Batch>),
    /// The thread has ended after a failure that it reported.
    #[error("the database takes no more commits after a failure: solve it, then start the node again")]
    Stopped,
}

/// A handle of the thread. Dropped, it waits until everything queued is committed and reported.
#[derive(Debug)]
pub struct Writer {
    queue: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `report` is called from it and must not block; a send to an unbounded channel does not, and
    /// no more reports come than batches were submitted.
    ///
    /// # Errors
    /// What the system says when it starts no thread.
    pub fn spawn(database: Database, report: impl FnMut(WriterEvent) + Send + 'static) -> io::Result<Self> {
        let (queue, batches) = sync_channel(WRITER_QUEUE);
        let thread = Builder::new().name("database".into()).spawn(move || run(&database, batches, report))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// A handle without its thread: a test does the work itself, step by step.
    #[cfg(test)]
    pub(crate) fn by_hand<R: FnMut(WriterEvent)>(database: Database, report: R) -> (Self, WriterWork<R>) {
        let (queue, batches) = sync_channel(WRITER_QUEUE);
        (Self { queue: Some(queue), thread: None }, WriterWork { database, batches, report })
    }

    /// Queues a batch, without waiting.
    ///
    /// # Errors
    /// [`WriterQueueError`]: the batch will not be committed.
    pub fn submit(&self, batch: Batch) -> Result<(), WriterQueueError> {
        let queue = self.queue.as_ref().ok_or(WriterQueueError::Stopped)?;
        queue.try_send(batch).map_err(|error| match error {
            TrySendError::Full(batch) => WriterQueueError::Full(Box::new(batch)),
            TrySendError::Disconnected(_) => WriterQueueError::Stopped,
        })
    }

    /// Commits everything queued, has it reported, and ends the thread.
    pub fn close(self) {}
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends once the queue is closed and empty.
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the database panicked");
        }
    }
}

/// What the thread of a database does, in the hands of a test.
#[cfg(test)]
pub(crate) struct WriterWork<R> {
    database: Database,
    batches: Receiver<Batch>,
    report: R,
}

#[cfg(test)]
impl<R: FnMut(WriterEvent)> WriterWork<R> {
    /// Commits everything that is queued, as one group.
    pub(crate) fn step(&mut self) -> Result<(), DatabaseError> {
        if let Ok(first) = self.batches.try_recv() {
            let group = gather(first, &self.batches, Instant::now());
            let event = commit(&self.database, &group)?;
            (self.report)(event);
        }
        Ok(())
    }
}

fn commit(database: &Database, group: &[Batch]) -> Result<WriterEvent, DatabaseError> {
    database.commit_all(group)?;
    Ok(WriterEvent::Committed {
        height: group.last().map_or(0, |last| last.last_height),
        wal_sequence: group.iter().map(|batch| batch.wal_sequence).max().unwrap_or(0),
        batches: group.len(),
    })
}

fn run(database: &Database, batches: Receiver<Batch>, mut report: impl FnMut(WriterEvent)) {
    let mut not_before = Instant::now();
    while let Ok(first) = batches.recv() {
        let group = gather(first, &batches, not_before);
        match commit(database, &group) {
            Ok(event) => {
                not_before = Instant::now() + PACE;
                report(event);
            }
            Err(error) => {
                // Who has the report finds the queue closed.
                drop(batches);
                report(WriterEvent::Failed(error));
                return;
            }
        }
    }
}

/// The first batch and those that wait behind it, within the bound.
fn gather(first: Batch, batches: &Receiver<Batch>, until: Instant) -> Vec<Batch> {
    let mut bytes = first.size();
    let mut group = vec![first];
    while bytes < MAX_MERGED_BYTES {
        let wait = until.saturating_duration_since(Instant::now());
        let Ok(batch) = batches.recv_timeout(wait) else { break };
        bytes += batch.size();
        group.push(batch);
    }
    group
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn batch(height: u64) -> Batch {
        Batch {
            blocks: vec![(height, height.to_string().into_bytes().into())],
            last_height: height,
            wal_sequence: height * 2,
            ..Batch::default()
        }
    }

    #[test]
    fn all_batches_are_committed_in_order_and_reads_go_on() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("chain.redb");
        let database = Database::create(&path, [1; 32]).unwrap();
        let (sender, events) = mpsc::channel();
        let writer = Writer::spawn(database.clone(), move |event| sender.send(event).unwrap()).unwrap();
        for height in 1..=50 {
            writer.submit(batch(height)).unwrap();
        }
        let mut last = 0;
        while last < 50 {
            let event = events.recv().unwrap();
            let WriterEvent::Committed { batches, height, wal_sequence } = event else { panic!("{event:?}") };
            assert_eq!(height, last + batches as u64);
            assert!(height > last && wal_sequence == height * 2);
            last = height;
            assert!(database.snapshot().unwrap().block(height).unwrap().is_some(), "reported, so readable");
        }
        writer.submit(batch(51)).unwrap();
        writer.close();
        assert!(matches!(events.recv().unwrap(), WriterEvent::Committed { height: 51, .. }));
        drop(database);
        let database = Database::open(&path, [1; 32]).unwrap();
        assert_eq!(database.snapshot().unwrap().last_height().unwrap(), Some(51));
        assert_eq!(database.snapshot().unwrap().check().unwrap().blocks, 51);
    }

    #[test]
    fn waiting_batches_are_merged_within_the_bound() {
        let (queue, batches) = sync_channel(WRITER_QUEUE);
        for height in 2..=5 {
            queue.send(batch(height)).unwrap();
        }
        assert_eq!(gather(batch(1), &batches, Instant::now()).len(), 5);
        let large = Batch { blocks: vec![(1, vec![0; MAX_MERGED_BYTES].into())], ..batch(1) };
        queue.send(batch(2)).unwrap();
        assert_eq!(gather(large, &batches, Instant::now()).len(), 1);
    }
}
