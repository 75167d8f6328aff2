//! What waits to be written to a module.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{mpsc, oneshot};

/// Most messages that wait for a module to read them; one that falls further behind is disconnected.
pub const MAX_MESSAGES: usize = 1024;

/// Most bytes that wait.
pub const MAX_BYTES: usize = 4 << 20;

/// A module does not read as fast as it is told things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it reads too slowly: {messages} messages of {bytes} bytes wait for it")]
pub struct Behind {
    /// Messages that wait.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// The node's end of the way to a module.
#[derive(Debug)]
pub struct Outbox {
    sender: mpsc::Sender<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
    farewell: oneshot::Sender<String>,
}

/// The connection's end.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) messages: mpsc::Receiver<Vec<u8>>,
    pub(super) bytes: Arc<AtomicUsize>,
    /// Why the node wants the connection closed; an error when the node has gone.
    pub(super) farewell: oneshot::Receiver<String>,
}

/// Both ends.
pub(super) fn pair() -> (Outbox, Inbox) {
    let (sender, messages) = mpsc::channel(MAX_MESSAGES);
    let (farewell, told) = oneshot::channel();
    let bytes = Arc::new(AtomicUsize::new(0));
    (Outbox { sender, bytes: bytes.clone(), farewell }, Inbox { messages, bytes, farewell: told })
}

impl Outbox {
    /// Puts a message at the end of the queue. To a module that is just going it is lost, which is no error.
    ///
    /// # Errors
    /// When too much waits already.
    pub fn push(&self, message: Vec<u8>) -> Result<(), Behind> {
        let length = message.len();
        let behind = |bytes| Behind { messages: MAX_MESSAGES - self.sender.capacity(), bytes };
        let waiting = self.bytes.fetch_add(length, Ordering::Relaxed);
        if waiting + length > MAX_BYTES {
            return Err(behind(waiting));
        }
        match self.sender.try_send(message) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(behind(waiting)),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Closes the connection.
    pub fn close(self, reason: String) {
        // The connection may have ended by itself.
        let _ = self.farewell.send(reason);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_bytes_are_bounded() {
        let (outbox, _inbox) = pair();
        (0..MAX_MESSAGES).for_each(|_| outbox.push(vec![0; 8]).unwrap());
        assert_eq!(outbox.push(vec![0; 8]), Err(Behind { messages: MAX_MESSAGES, bytes: 8 * MAX_MESSAGES }));
        let (outbox, _inbox) = pair();
        (0..64).for_each(|_| outbox.push(vec![0; MAX_BYTES / 64]).unwrap());
        assert_eq!(outbox.push(vec![0]), Err(Behind { messages: 64, bytes: MAX_BYTES }));
    }
}
