//! What of the table survives a restart.

use super::{
    entry::{MAX_ADDRESS_BYTES, MAX_ADDRESSES_OF_ONE, Standing, Teller},
    machine::{ANCHORS, KnownPeers},
    source::Source,
};
use crate::{network_group::NetworkGroup, peer::Peer, peer_record::PeerRecord, time::Time};
use conclave_ledger::{bytes::Bytes, keys::PublicKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The peers that are known, as they are written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPeers {
    /// In the order of peer ids.
    pub peers: Vec<SavedPeer>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPeer {
    /// Who.
    pub peer: Peer,
    /// Where, best first.
    pub addresses: Vec<String>,
    /// What it signed last.
    pub record: Option<Bytes>,
    /// From where it is known.
    pub sources: BTreeSet<Source>,
    /// The peer that told of it first, if it was a peer.
    pub told_by: Option<Peer>,
    /// The validator key that it has proved, or is said to have.
    pub validator: Option<PublicKey>,
    /// Whether a handshake with it was ever done.
    pub met: bool,
    /// Whether it is to be dialled first.
    pub anchor: bool,
    /// Failures in a row.
    pub failures: u32,
}

impl KnownPeers {
    /// The table, to be written down.
    pub fn saved(&self) -> SavedPeers {
        let mut anchors = self.anchors();
        // Those of the last run keep the places that this one has not filled, in case it ends before it has met anybody.
        let former = self.table.iter().filter(|(peer, entry)| entry.anchor && !anchors.contains(peer));
        let former: Vec<Peer> =
            former.map(|(peer, _)| *peer).take(ANCHORS.saturating_sub(anchors.len())).collect();
        anchors.extend(former);
        let peers = self.table.iter().map(|(peer, entry)| SavedPeer {
            peer: *peer,
            addresses: entry.addresses.clone(),
            record: entry.record.as_ref().map(|record| Bytes(record.envelope().to_vec())),
            sources: entry.sources.clone(),
            told_by: match entry.teller {
                Teller::Peer(teller) => Some(teller),
                Teller::Finder(_) | Teller::Tracker(_) => None,
            },
            validator: entry.standing.key(),
            met: entry.met,
            anchor: anchors.contains(peer),
            failures: entry.failures,
        });
        SavedPeers { peers: peers.collect() }
    }

    /// Takes what was written down, within the bounds; what does not hold is left out.
    pub fn restore(&mut self, saved: SavedPeers, now: Time) {
        for saved in saved.peers {
            let record = saved.record.and_then(|record| PeerRecord::decode(&record.0).ok());
            let is_own = saved.peer == self.config.peer;
            if is_own || record.as_ref().is_some_and(|record| record.peer() != saved.peer) {
                continue;
            }
            let mut addresses = saved.addresses;
            addresses.retain(|address| address.len() <= MAX_ADDRESS_BYTES);
            addresses.truncate(MAX_ADDRESSES_OF_ONE);
            let group = addresses.first().map_or(NetworkGroup::Other, |address| NetworkGroup::of(address));
            // Configured is who stands in the configuration of this run.
            let sources = saved.sources.into_iter().filter(|source| *source != Source::Configured);
            let sources: BTreeSet<Source> = sources.collect();
            let finder = sources.first().copied().map(Teller::Finder);
            let Some(teller) = saved.told_by.or(saved.met.then_some(saved.peer)).map(Teller::Peer).or(finder)
            else {
                continue;
            };
            let table = &mut self.table;
            let Some(entry) = table.entry(saved.peer, (teller, group), saved.met, now, |_| false) else {
                continue;
            };
            (entry.addresses, entry.record, entry.sources) = (addresses, record, sources);
            entry.standing = saved.validator.map_or(Standing::Unknown, Standing::SaidToValidate);
            (entry.met, entry.anchor, entry.failures) = (saved.met, saved.anchor, saved.failures);
        }
        self.dial_due(now);
    }
}
