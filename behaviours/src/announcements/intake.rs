//! Every copy that comes in, before gossipsub looks whether it knows the message.

use super::topics::Topics;
use libp2p::{
    PeerId,
    gossipsub::{DataTransform, Message, MessageId, RawMessage, TopicHash},
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

/// A copy that came in: its message's id, and its bytes.
pub(super) type Copy = ([u8; 32], usize);

#[derive(Default)]
struct Shared {
    subscribed: BTreeSet<u16>,
    copies: Vec<Copy>,
}

/// Counts copies, and refuses those of topics that are not subscribed to, which gossipsub would store.
#[derive(Clone)]
pub struct Intake {
    topics: Topics,
    shared: Arc<Mutex<Shared>>,
}

/// First byte of a message that is known by its bytes alone: the same from two authors is one.
const OF_ANYBODY: u8 = 0;

/// First byte of a message that is known by its bytes and its author.
const OF_ITS_AUTHOR: u8 = 1;

/// What gossipsub knows a message by.
pub(super) fn message_id(data: &[u8], author: Option<&PeerId>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"conclave announcement envelope v1\0");
    hasher.update(data);
    if let Some(author) = author.filter(|_| data.first() == Some(&OF_ITS_AUTHOR)) {
        hasher.update(author.to_bytes());
    }
    hasher.finalize().into()
}

/// The bytes that travel.
pub(super) fn wrap(data: &[u8], per_author: bool) -> Vec<u8> {
    let first = if per_author { OF_ITS_AUTHOR } else { OF_ANYBODY };
    [&[first], data].concat()
}

/// What [`wrap`] was given; `None` if it was not.
pub(super) fn unwrap(mut data: Vec<u8>) -> Option<(Vec<u8>, bool)> {
    let per_author = match data.first() {
        Some(&OF_ANYBODY) => false,
        Some(&OF_ITS_AUTHOR) => true,
        _ => return None,
    };
    data.remove(0);
    Some((data, per_author))
}

/// The same, as gossipsub wants it.
pub(super) fn gossipsub_id(message: &Message) -> MessageId {
    MessageId::new(&message_id(&message.data, message.source.as_ref()))
}

impl Intake {
    pub(super) fn new(topics: Topics) -> Self {
        Self { topics, shared: Arc::default() }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Both users are the behaviour, one after the other; a panic of one leaves nothing half done.
        self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self, data_type: u16) {
        self.shared().subscribed.insert(data_type);
    }

    pub(super) fn unsubscribe(&self, data_type: u16) {
        self.shared().subscribed.remove(&data_type);
    }

    /// The copies since the last call.
    pub(super) fn take(&self) -> Vec<Copy> {
        std::mem::take(&mut self.shared().copies)
    }
}

impl DataTransform for Intake {
    fn inbound_transform(&self, raw: RawMessage) -> Result<Message, io::Error> {
        let mut shared = self.shared();
        shared.copies.push((message_id(&raw.data, raw.source.as_ref()), raw.data.len()));
        let data_type = self.topics.data_type(&raw.topic);
        if !data_type.is_some_and(|data_type| shared.subscribed.contains(&data_type)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a topic that is not subscribed to"));
        }
        if !matches!(raw.data.first(), Some(&(OF_ANYBODY | OF_ITS_AUTHOR))) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a message that does not say what it is known by",
            ));
        }
        Ok(Message {
            source: raw.source,
            data: raw.data,
            sequence_number: raw.sequence_number,
            topic: raw.topic,
        })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> Result<Vec<u8>, io::Error> {
        Ok(data)
    }
}
