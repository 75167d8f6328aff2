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
    /// Senders of all messages.
    count: usize,
}

impl Copies {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, senders: BTreeMap::new(), order: VecDeque::new(), count: 0 }
    }

    /// Counts a copy.
    pub(super) fn count(&mut self, id: MessageId, peer: Peer, now: Time) -> Seen {
        self.forget(now);
        if !self.senders.contains_key(&id) {
            if self.senders.len() >= MAX_COUNTED {
                self.forget_oldest();
            }
            self.order.push_back((now + self.window, id));
        }
        let senders = self.senders.entry(id).or_default();
        let is_first = senders.is_empty();
        if !senders.insert(peer) {
            return Seen::Again;
        }
        self.count += 1;
        while self.count > MAX_SENDERS {
            self.forget_oldest();
        }
        if is_first { Seen::First } else { Seen::FromAnother }
    }

    fn forget(&mut self, now: Time) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let senders = self.order.pop_front().and_then(|(_, oldest)| self.senders.remove(&oldest));
        self.count -= senders.map_or(0, |senders| senders.len());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use conclave_ledger::hash::Hash;

    fn peer(number: u32) -> Peer {
        Peer::from_bytes(&number.to_be_bytes()).unwrap()
    }

    fn id(number: u32) -> MessageId {
        Hash::of("test", &[&number.to_be_bytes()])
    }

    #[test]
    fn everybody_who_sends_a_message_again_is_known_however_many_they_are() {
        let mut copies = Copies::new(Duration::from_secs(120));
        let sent = |copies: &mut Copies, number| copies.count(id(1), peer(number), Time(0));
        assert_eq!(sent(&mut copies, 0), Seen::First);
        assert!((1..1000).all(|number| sent(&mut copies, number) == Seen::FromAnother));
        assert!((0..1000).all(|number| sent(&mut copies, number) == Seen::Again));
    }

    #[test]
    fn senders_are_bounded_in_all_and_forgotten_after_the_window() {
        let mut copies = Copies::new(Duration::from_secs(120));
        for number in 0..200_000 {
            copies.count(id(number % 200), peer(number), Time(0));
            let kept: usize = copies.senders.values().map(BTreeSet::len).sum();
            assert!(kept == copies.count && kept <= MAX_SENDERS, "{kept}");
        }
        for number in 0..2 * MAX_COUNTED as u32 {
            copies.count(id(number), peer(1), Time(0));
            assert!(copies.senders.len() <= MAX_COUNTED && copies.order.len() <= MAX_COUNTED);
        }
        let later = Time(0) + Duration::from_secs(121);
        assert_eq!(copies.count(id(1), peer(1), later), Seen::First);
        assert_eq!((copies.senders.len(), copies.order.len(), copies.count), (1, 1, 1));
    }
}
