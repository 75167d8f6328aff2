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

    /// Counts a copy; whether this peer has sent this message before.
    pub(super) fn is_repeated(&mut self, id: MessageId, peer: Peer, now: Time) -> bool {
        self.forget(now);
        if !self.senders.contains_key(&id) {
            if self.senders.len() >= MAX_COUNTED {
                self.order.pop_front().map(|(_, oldest)| self.senders.remove(&oldest));
            }
            self.order.push_back((now + self.window, id));
        }
        let senders = self.senders.entry(id).or_default();
        if senders.contains(&peer) {
            return true;
        }
        if senders.len() < MAX_SENDERS {
            senders.insert(peer);
        }
        false
    }

    fn forget(&mut self, now: Time) {
        while let Some((_, id)) = self.order.pop_front_if(|(until, _)| *until <= now) {
            self.senders.remove(&id);
        }
    }
}
