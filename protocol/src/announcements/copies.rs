//! Who has sent which message already.

use super::{
    config::{MAX_COUNTED, MAX_SENDERS},
    message::MessageId,
};
use crate::{peer::Peer, time::Time};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// What a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The first.
    First,
    /// Another peer sent it before.
    FromAnother,
    /// The same peer sent it before.
    Again,
}

/// The senders of recent messages.
pub(super) struct Copies {
    window: Duration,
    senders: BTreeMap<MessageId, BTreeSet<Peer>>,
    order: VecDeque<(Time, MessageId)>,
}

impl Copies {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, senders: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Counts a copy.
    pub(super) fn count(&mut self, id: MessageId, peer: Peer, now: Time) -> Seen {
        self.forget(now);
        if !self.senders.contains_key(&id) {
            if self.senders.len() >= MAX_COUNTED {
                self.order.pop_front().map(|(_, oldest)| self.senders.remove(&oldest));
            }
            self.order.push_back((now + self.window, id));
        }
        let senders = self.senders.entry(id).or_default();
        if senders.contains(&peer) {
            return Seen::Again;
        }
        let seen = if senders.is_empty() { Seen::First } else { Seen::FromAnother };
        if senders.len() < MAX_SENDERS {
            senders.insert(peer);
        }
        seen
    }

    fn forget(&mut self, now: Time) {
        while let Some((_, id)) = self.order.pop_front_if(|(until, _)| *until <= now) {
            self.senders.remove(&id);
        }
    }
}
