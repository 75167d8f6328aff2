//! The thread that owns the write-ahead log.
//!
//! Appends come through a bounded queue, each with a ticket of the caller's choice, ascending. The thread takes
//! whatever is queued, makes it durable with one sync, and reports the last ticket: the more there is to do, the more
//! goes into one sync, and a single record waits for nothing but its own. After each it has the next segment
//! [prepared](Wal::prepare) in time, and when the queue is empty it writes the [mark](Wal::mark).
//!
//! A failure is reported once and ends the thread: the node must stop, since it can no longer remember what it signs.

use super::wal::{Wal, WalError, check_length};
use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    thread::{Builder, JoinHandle},
};

/// Most requests that wait in the queue.
pub const WAL_QUEUE: usize = 256;

/// Most bytes of payload that go into one sync (one record more may be added to what is below this).
pub const MAX_GROUP_BYTES: usize = 1 << 20;

/// What the thread reports.
#[derive(Debug)]
pub enum WalEvent {
    /// All appends up to this ticket are durable.
    Synced {
        /// The last of the caller's tickets.
        ticket: u64,
        /// Sequence of its record in the log.
        sequence: u64,
    },
    /// The log failed; nothing that was not reported as synced counts. The thread has ended.
    Failed(WalError),
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WalQueueError {
    /// The disk does not keep up.
    #[error("{WAL_QUEUE} requests wait for the write-ahead log: the disk does not keep up")]
    Full,
    /// The thread has ended after a failure that it reported.
    #[error("the write-ahead log has stopped after a failure: solve it, then start the node again")]
    Stopped,
    /// The record breaks a rule of the log.
    #[error(transparent)]
    Refused(WalError),
}

enum Request {
    Append { payload: Vec<u8>, ticket: u64 },
    RemoveBefore(u64),
}

/// A handle of the thread. Dropped, it waits until everything queued is durable and reported.
#[derive(Debug)]
pub struct WalThread {
    queue: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl WalThread {
    /// Starts the thread. `report` is called from it and must not block; a send to an unbounded channel does not, and
    /// no more reports come than appends were made.
    ///
    /// # Errors
    /// What the system says when it starts no thread.
    pub fn spawn(wal: Wal, report: impl FnMut(WalEvent) + Send + 'static) -> io::Result<Self> {
        let (queue, requests) = sync_channel(WAL_QUEUE);
        let thread = Builder::new().name("wal".into()).spawn(move || run(wal, requests, report))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// A handle without its thread: a test does the work itself, step by step, and so knows when what happens.
    #[cfg(test)]
    pub(crate) fn by_hand<R: FnMut(WalEvent)>(wal: Wal, report: R) -> (Self, WalWork<R>) {
        let (queue, requests) = sync_channel(WAL_QUEUE);
        (Self { queue: Some(queue), thread: None }, WalWork { wal, requests, report })
    }

    /// Queues a record, without waiting. Tickets ascend.
    ///
    /// # Errors
    /// [`WalQueueError`]: the record is not in the log.
    pub fn append(&self, payload: Vec<u8>, ticket: u64) -> Result<(), WalQueueError> {
        check_length(payload.len()).map_err(WalQueueError::Refused)?;
        self.send(Request::Append { payload, ticket })
    }

    /// Queues the removal of segments that hold only records before `sequence`.
    ///
    /// # Errors
    /// [`WalQueueError`]: nothing will be removed.
    pub fn remove_before(&self, sequence: u64) -> Result<(), WalQueueError> {
        self.send(Request::RemoveBefore(sequence))
    }

    /// Makes everything queued durable, has it reported, and ends the thread.
    pub fn close(self) {}

    fn send(&self, request: Request) -> Result<(), WalQueueError> {
        let queue = self.queue.as_ref().ok_or(WalQueueError::Stopped)?;
        queue.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => WalQueueError::Full,
            TrySendError::Disconnected(_) => WalQueueError::Stopped,
        })
    }
}

impl Drop for WalThread {
    fn drop(&mut self) {
        // The thread ends once the queue is closed and empty.
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the write-ahead log panicked");
        }
    }
}

/// What the thread of a log does, in the hands of a test.
#[cfg(test)]
pub(crate) struct WalWork<R> {
    wal: Wal,
    requests: Receiver<Request>,
    report: R,
}

#[cfg(test)]
impl<R: FnMut(WalEvent)> WalWork<R> {
    /// Serves everything that is queued.
    pub(crate) fn step(&mut self) -> Result<(), WalError> {
        while let Ok(request) = self.requests.try_recv() {
            if serve(&mut self.wal, &self.requests, request, &mut self.report)? {
                self.wal.mark()?;
            }
            // As in the thread, which only warns: the segment is made when it is needed.
            let _ = self.wal.prepare();
        }
        Ok(())
    }
}

fn run(mut wal: Wal, requests: Receiver<Request>, mut report: impl FnMut(WalEvent)) {
    while let Ok(request) = requests.recv() {
        let served = serve(&mut wal, &requests, request, &mut report)
            .and_then(|idle| if idle { wal.mark() } else { Ok(()) });
        if let Err(error) = served {
            // Who has the report finds the queue closed.
            drop(requests);
            report(WalEvent::Failed(error));
            return;
        }
        if let Err(error) = wal.prepare() {
            tracing::warn!(%error, "cannot prepare the next segment of the write-ahead log");
        }
    }
    if let Err(error) = wal.mark() {
        tracing::warn!(%error, "the write-ahead log ends without its mark");
    }
}

/// Serves one group of requests, beginning with `request`; says whether the queue is empty.
fn serve(
    wal: &mut Wal,
    requests: &Receiver<Request>,
    request: Request,
    report: &mut impl FnMut(WalEvent),
) -> Result<bool, WalError> {
    let mut request = Some(request);
    let mut last_ticket = None;
    let mut removal = None;
    let mut bytes = 0;
    let mut idle = false;
    while let Some(this) = request.take() {
        match this {
            Request::Append { payload, ticket } => {
                bytes += payload.len();
                wal.append(&payload)?;
                last_ticket = Some(ticket);
            }
            Request::RemoveBefore(sequence) => removal = removal.max(Some(sequence)),
        }
        if bytes < MAX_GROUP_BYTES {
            match requests.try_recv() {
                Ok(next) => request = Some(next),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => idle = true,
            }
        }
    }
    if let Some(ticket) = last_ticket {
        let sequence = wal.sync()?;
        report(WalEvent::Synced { ticket, sequence });
    }
    if let Some(sequence) = removal {
        wal.remove_before(sequence)?;
    }
    Ok(idle)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::storage::faulty::{Fault, FaultyDisk};
    use std::{path::Path, sync::Arc, sync::mpsc};

    const NETWORK: [u8; 32] = [7; 32];

    fn thread(disk: &FaultyDisk) -> (WalThread, mpsc::Receiver<WalEvent>) {
        let (wal, _) = Wal::open(Path::new("wal"), NETWORK, Arc::new(disk.clone())).unwrap();
        let (sender, events) = mpsc::channel();
        (WalThread::spawn(wal, move |event| sender.send(event).unwrap()).unwrap(), events)
    }

    #[test]
    fn every_ticket_is_reported_and_closing_flushes() {
        let disk = FaultyDisk::new(1);
        let (thread, events) = thread(&disk);
        for ticket in 1..=200_u64 {
            thread.append(ticket.to_le_bytes().to_vec(), ticket).unwrap();
        }
        thread.close();
        let mut last = 0;
        for event in events {
            let WalEvent::Synced { ticket, sequence } = event else { panic!("{event:?}") };
            assert!(ticket > last && ticket == sequence);
            last = ticket;
        }
        assert_eq!(last, 200);
        disk.crash();
        let (_, replay) = Wal::open(Path::new("wal"), NETWORK, Arc::new(disk)).unwrap();
        let read: Vec<u64> = replay
            .records
            .iter()
            .map(|record| u64::from_le_bytes(record.payload.as_slice().try_into().unwrap()))
            .collect();
        assert_eq!(read, (1..=200).collect::<Vec<_>>());
    }

    #[test]
    fn queued_appends_share_a_sync() {
        let disk = FaultyDisk::new(1);
        let (mut wal, _) = Wal::open(Path::new("wal"), NETWORK, Arc::new(disk.clone())).unwrap();
        let (queue, requests) = sync_channel(WAL_QUEUE);
        for ticket in 1..=100 {
            queue.send(Request::Append { payload: vec![1; 400], ticket }).unwrap();
        }
        let before = disk.operations();
        let first = requests.recv().unwrap();
        let mut events = Vec::new();
        assert!(serve(&mut wal, &requests, first, &mut |event| events.push(event)).unwrap());
        assert!(matches!(events[..], [WalEvent::Synced { ticket: 100, sequence: 100 }]), "{events:?}");
        assert_eq!(disk.operations() - before, 2, "one write and one sync");
    }

    #[test]
    fn a_failure_is_reported_once_and_stops_the_queue() {
        let disk = FaultyDisk::new(1);
        let (thread, events) = thread(&disk);
        disk.fail_at(disk.operations(), Fault::Full);
        thread.append(vec![1], 1).unwrap();
        let event = events.recv().unwrap();
        assert!(matches!(event, WalEvent::Failed(WalError::NoSpace { .. })), "{event:?}");
        // The reporting end is dropped with the thread.
        assert!(events.recv().is_err());
        let error = thread.append(vec![2], 2).unwrap_err();
        assert!(matches!(error, WalQueueError::Stopped), "{error}");
    }

    #[test]
    fn an_overlong_record_is_refused_without_harm() {
        let disk = FaultyDisk::new(1);
        let (thread, events) = thread(&disk);
        let error = thread.append(vec![0; super::super::MAX_RECORD_BYTES + 1], 1).unwrap_err();
        assert!(matches!(error, WalQueueError::Refused(WalError::TooLong { .. })), "{error}");
        thread.append(vec![3], 2).unwrap();
        assert!(matches!(events.recv().unwrap(), WalEvent::Synced { ticket: 2, sequence: 1 }));
    }
}
