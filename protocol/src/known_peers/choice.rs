//! Whom to dial next.

use super::{
    entry::{Entry, Standing},
    machine::KnownPeers,
    source::Source,
};
use crate::{network_group::NetworkGroup, peer::Peer, time::Time};
use conclave_ledger::keys::PublicKey;
use rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Most dials under way at once.
pub const MAX_DIALLING: usize = 8;

/// Most peers that an observer meets at once: each may ask for work, and work is done for two at a time.
pub const MAX_MEETING: usize = 3;

/// What makes one candidate better than another: the smallest is dialled first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    class: Class,
    /// Connections that there are to this part of the network.
    in_group: usize,
    failures: u32,
    /// Between equals, chance decides.
    chance: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Anchor,
    Validator,
    Other,
}

impl KnownPeers {
    /// How many more may be dialled now.
    pub(super) fn free_places(&self) -> usize {
        let under_way = self.dialling();
        let free = MAX_DIALLING.saturating_sub(under_way);
        if self.is_validator {
            return free;
        }
        let dialled = self.connected.values().filter(|connection| connection.dialled).count();
        let meeting = self.connected.values().filter(|connection| connection.dialled && !connection.admitted);
        let missing = self.places().outgoing.saturating_sub(dialled + under_way);
        free.min(missing).min(MAX_MEETING.saturating_sub(meeting.count() + under_way))
    }

    pub(super) fn dialling(&self) -> usize {
        self.table.iter().filter(|(_, entry)| entry.dialling_until.is_some()).count()
    }

    /// The best candidates at `now`, the best first.
    pub(super) fn candidates(&mut self, now: Time) -> Vec<Peer> {
        let missing = self.missing_validators();
        let mut in_group: BTreeMap<NetworkGroup, usize> = BTreeMap::new();
        for connection in self.connected.values() {
            *in_group.entry(connection.group).or_default() += 1;
        }
        let mut found = Vec::new();
        for (peer, entry) in self.table.iter() {
            if entry.next_dial <= now && self.may_be_dialled(peer, entry) && self.is_wanted(entry, &missing) {
                let class = match entry.standing {
                    _ if entry.anchor => Class::Anchor,
                    Standing::SaidToValidate(_) | Standing::Validates(_) => Class::Validator,
                    Standing::Unknown | Standing::Observes => Class::Other,
                };
                let (in_group, failures) = (in_group.get(&entry.group).copied().unwrap_or(0), entry.failures);
                found.push((Preference { class, in_group, failures, chance: 0 }, *peer));
            }
        }
        found.iter_mut().for_each(|(preference, _)| preference.chance = self.random.next_u32());
        found.sort_unstable();
        found.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Whether a dial of the peer makes sense, now or later.
    pub(super) fn may_be_dialled(&self, peer: &Peer, entry: &Entry) -> bool {
        !self.connected.contains_key(peer)
            && entry.dialling_until.is_none()
            && !entry.addresses.is_empty()
            // The handshake dials these.
            && !entry.sources.contains(&Source::Configured)
    }

    /// An observer wants anybody. A validator wants the validators, and anybody who could be a missing one.
    fn is_wanted(&self, entry: &Entry, missing: &BTreeSet<PublicKey>) -> bool {
        if !self.is_validator {
            return true;
        }
        match entry.standing {
            Standing::Unknown => !missing.is_empty(),
            Standing::SaidToValidate(key) | Standing::Validates(key) => missing.contains(&key),
            Standing::Observes => false,
        }
    }

    /// Validators to whom there is no connection.
    pub(super) fn missing_validators(&self) -> BTreeSet<PublicKey> {
        let connected: BTreeSet<PublicKey> =
            self.connected.values().filter_map(|connection| connection.validator).collect();
        self.validators.difference(&connected).copied().collect()
    }

    /// When the next peer that is wanted may be dialled, if there is a place for it.
    pub(super) fn next_dial(&self) -> Option<Time> {
        if self.free_places() == 0 || self.leaving {
            return None;
        }
        let missing = self.missing_validators();
        let wanted = self
            .table
            .iter()
            .filter(|(peer, entry)| self.may_be_dialled(peer, entry) && self.is_wanted(entry, &missing));
        wanted.map(|(_, entry)| entry.next_dial).min()
    }

    /// Whether this node knows too few.
    pub fn wants_peers(&self) -> bool {
        let is_alone = !self.is_validator || !self.missing_validators().is_empty();
        is_alone && self.free_places() > 0 && !self.leaving
    }
}
