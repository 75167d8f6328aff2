//! The table: bounded in all, by part of the network and by who told.

use super::{
    entry::{Entry, Teller},
    source::Source,
};
use crate::{network_group::NetworkGroup, peer::Peer, time::Time};
use std::collections::BTreeMap;

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    entries: BTreeMap<Peer, Entry>,
    /// Most peers in all.
    limit: usize,
}

impl Table {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), limit }
    }

    /// Most peers of one part of the network: a quarter of the table.
    pub fn limit_of_group(&self) -> usize {
        (self.limit / 4).max(1)
    }

    /// Most peers of whom one teller told: an eighth of the table for a peer, a quarter of it for a tracker,
    /// half of it for any other finder.
    pub fn limit_of_teller(&self, teller: &Teller) -> usize {
        let part = match teller {
            Teller::Finder(_) => 2,
            Teller::Tracker(_) => 4,
            Teller::Peer(_) => 8,
        };
        (self.limit / part).max(1)
    }

    /// What is known of a peer.
    pub fn get(&self, peer: &Peer) -> Option<&Entry> {
        self.entries.get(peer)
    }

    /// All of it, in the order of peer ids.
    pub fn iter(&self) -> impl Iterator<Item = (&Peer, &Entry)> {
        self.entries.iter()
    }

    /// Number of peers.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get_mut(&mut self, peer: &Peer) -> Option<&mut Entry> {
        self.entries.get_mut(peer)
    }

    pub(super) fn remove(&mut self, peer: &Peer) -> Option<Entry> {
        self.entries.remove(peer)
    }

    /// The entry of a peer, made if there is room for it. One that was met may take the place of one that was not;
    /// `is_kept` says whose place nobody takes.
    pub(super) fn entry(
        &mut self,
        peer: Peer,
        (teller, group): (Teller, NetworkGroup),
        is_met: bool,
        now: Time,
        is_kept: impl Fn(&Peer) -> bool,
    ) -> Option<&mut Entry> {
        if !self.entries.contains_key(&peer) {
            // Nobody gives way unless there is room by every bound then.
            let mut give_way = Vec::new();
            let of_teller = self.limit_of_teller(&teller);
            self.room(|entry| entry.teller == teller, of_teller, is_met, &is_kept, &mut give_way)?;
            let of_group = self.limit_of_group();
            self.room(|entry| entry.group == group, of_group, is_met, &is_kept, &mut give_way)?;
            self.room(|_| true, self.limit, is_met, &is_kept, &mut give_way)?;
            give_way.iter().for_each(|peer| drop(self.entries.remove(peer)));
            self.entries.insert(peer, Entry::new(teller, group, now));
        }
        self.entries.get_mut(&peer)
    }

    /// Room for one more among those for whom `is_in` holds, once `give_way` are gone; one more may have to go for
    /// it. `None` if nobody does.
    fn room(
        &self,
        is_in: impl Fn(&Entry) -> bool,
        limit: usize,
        is_met: bool,
        is_kept: impl Fn(&Peer) -> bool,
        give_way: &mut Vec<Peer>,
    ) -> Option<()> {
        let stays = |peer: &Peer| !give_way.contains(peer);
        if self.entries.iter().filter(|(peer, entry)| is_in(entry) && stays(peer)).count() < limit {
            return Some(());
        }
        let gives_way = |peer: &Peer, entry: &Entry| {
            let is_worse = entry.failures > 0 || is_met && !entry.met;
            is_in(entry) && is_worse && !entry.sources.contains(&Source::Configured) && !is_kept(peer)
        };
        let candidates = self.entries.iter().filter(|(peer, entry)| gives_way(peer, entry));
        give_way.push(*candidates.max_by_key(|(_, entry)| entry.expendable())?.0);
        Some(())
    }
}
