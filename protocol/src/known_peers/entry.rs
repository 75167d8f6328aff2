//! What is known of one peer.

use super::source::Source;
use crate::{
    network_group::NetworkGroup,
    peer::Peer,
    peer_record::{PeerRecord, multiaddr},
    time::Time,
};
use conclave_ledger::keys::PublicKey;
use std::collections::BTreeSet;

/// Most addresses that are kept of one peer.
pub const MAX_ADDRESSES_OF_ONE: usize = 8;

/// Longest address, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 256;

/// Who told of a peer first: what one of them tells fills only a part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Teller {
    /// A finder: all trackers of an earlier run are one.
    Finder(Source),
    /// A tracker, so that one that lies leaves room for what the others tell.
    Tracker(Peer),
    /// A peer; the peer itself, if it came by itself.
    Peer(Peer),
}

/// What a peer is to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing is known.
    Unknown,
    /// Somebody says that it has this validator key.
    SaidToValidate(PublicKey),
    /// It has proved this validator key.
    Validates(PublicKey),
    /// Its handshake was that of an observer.
    Observes,
}

impl Standing {
    /// The validator key that it has, or is said to have.
    pub fn key(&self) -> Option<PublicKey> {
        match self {
            Self::SaidToValidate(key) | Self::Validates(key) => Some(*key),
            Self::Unknown | Self::Observes => None,
        }
    }
}

/// What is known of one peer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where to dial it, best first, without `/p2p/…`.
    pub addresses: Vec<String>,
    /// What it signed last.
    pub record: Option<PeerRecord>,
    /// From where it is known.
    pub sources: BTreeSet<Source>,
    /// Who told of it first.
    pub teller: Teller,
    /// The part of the network that it is in.
    pub group: NetworkGroup,
    /// What it is.
    pub standing: Standing,
    /// Whether a handshake with it was ever done.
    pub met: bool,
    /// Whether it was an anchor of the last run, and is to be dialled first.
    pub anchor: bool,
    /// Failures in a row.
    pub failures: u32,
    /// How often in a row it had no place for this node.
    pub(super) full: u32,
    /// When it was heard of or met last.
    pub(super) heard: Time,
    /// Not to be dialled before.
    pub(super) next_dial: Time,
    /// A dial is under way, and given up then.
    pub(super) dialling_until: Option<Time>,
}

impl Entry {
    pub(super) fn new(teller: Teller, group: NetworkGroup, now: Time) -> Self {
        Self {
            addresses: Vec::new(),
            record: None,
            sources: BTreeSet::new(),
            teller,
            group,
            standing: Standing::Unknown,
            met: false,
            anchor: false,
            failures: 0,
            full: 0,
            heard: now,
            next_dial: now,
            dialling_until: None,
        }
    }

    /// Takes a record, unless it is older than the one that is known.
    pub(super) fn take_record(&mut self, record: PeerRecord) {
        let is_older = self.record.as_ref().is_some_and(|known| record.sequence() < known.sequence());
        if !is_older {
            let addresses = record.addresses().to_vec();
            self.addresses.retain(|address| !addresses.contains(address));
            self.addresses.splice(0..0, addresses);
            self.addresses.truncate(MAX_ADDRESSES_OF_ONE);
            self.record = Some(record);
        }
    }

    /// Takes addresses that a finder gave; the newest first.
    pub(super) fn take_addresses(&mut self, peer: &Peer, addresses: Vec<String>) {
        let fitting = addresses.into_iter().filter(|address| address.len() <= MAX_ADDRESS_BYTES);
        for address in fitting.take(MAX_ADDRESSES_OF_ONE) {
            let address = without_peer(peer, address);
            if !self.addresses.contains(&address) {
                self.addresses.insert(0, address);
            }
        }
        self.addresses.truncate(MAX_ADDRESSES_OF_ONE);
    }

    /// How little would be lost with it: the greatest goes first.
    pub(super) fn expendable(&self) -> (bool, u32, std::cmp::Reverse<Time>) {
        (!self.met, self.failures, std::cmp::Reverse(self.heard))
    }
}

/// The address without the peer id at its end.
fn without_peer(peer: &Peer, address: String) -> String {
    let suffix = format!("/p2p/{}", multiaddr::base58(peer.as_bytes()));
    address.strip_suffix(&suffix).map_or_else(|| address.clone(), String::from)
}
