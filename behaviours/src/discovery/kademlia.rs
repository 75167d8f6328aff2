//! The tracker that nobody runs: announcing this node in a Kademlia table, and looking up who else has.

use super::{Role, routing};
use crate::addresses::useful_addresses;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::Endpoint,
    kad::{
        self, GetProvidersOk, InboundRequest, QueryId, QueryResult, RecordKey, StoreInserts,
        store::{MemoryStore, MemoryStoreConfig, RecordStore},
    },
    swarm::{ConnectionId, NetworkBehaviour},
};
use std::{collections::BTreeSet, time::Duration};

/// The behaviour: libp2p's Kademlia with its records in memory.
pub type Kademlia = kad::Behaviour<MemoryStore>;

/// Name of the shared table's protocol.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/conclave/kad/1.0.0");

/// Most peers that one lookup finds: a network with more has them in its nodes' own tables of known peers.
pub const MAX_FOUND: usize = 128;

/// Most addresses that are kept of one peer.
pub const MAX_ADDRESSES: usize = 8;

/// Most keys whose providers this node keeps for others; one for each network whose key is near its own id.
const MAX_KEYS: usize = 1024;

/// Most providers that it keeps of one key; those whose ids are nearest to the key stay. An answer holds 20 of them.
const MAX_PROVIDERS: usize = 64;

/// How long an announcement counts, and after what time it is made again: a node that is gone is forgotten soon.
const PROVIDER_TTL: Duration = Duration::from_secs(30 * 60);
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(10 * 60);

/// After this time a lookup has ended, whatever it has found.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the table is refreshed.
const BOOTSTRAP_INTERVAL: Duration = Duration::from_secs(120);

/// A peer that claims to be of this network, with the addresses at which it is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whom.
    pub peer: PeerId,
    /// Where, each with `/p2p/` and the peer's id, so that nobody else is taken for it.
    pub addresses: Vec<Multiaddr>,
}

/// What was left out because it was too much or useless, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Peers beyond [`MAX_FOUND`] of a lookup.
    pub providers: u64,
    /// Peers without an address that could be dialled.
    pub unreachable: u64,
    /// Addresses beyond [`MAX_ADDRESSES`], or useless ones.
    pub addresses: u64,
    /// Records that others asked this node to keep: it keeps announcements alone.
    pub records: u64,
}

/// A behaviour for the shared table.
pub fn behaviour(peer: PeerId, role: Role) -> Kademlia {
    let mut config = kad::Config::new(PROTOCOL);
    config
        .set_query_timeout(QUERY_TIMEOUT)
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_provider_publication_interval(Some(ANNOUNCE_AGAIN))
        .set_publication_interval(None)
        .set_replication_interval(None)
        .set_periodic_bootstrap_interval(Some(BOOTSTRAP_INTERVAL));
    let store = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: MAX_PROVIDERS,
        max_provided_keys: MAX_KEYS,
    };
    let mut kademlia = Kademlia::with_config(peer, MemoryStore::with_config(peer, store), config);
    kademlia.set_mode(Some(match role {
        Role::Server => kad::Mode::Server,
        Role::Client => kad::Mode::Client,
    }));
    kademlia
}

/// The key of a network: its id, which is a SHA-256 hash, as a multihash.
pub fn key_of(network: &[u8; 32]) -> RecordKey {
    const SHA2_256: u8 = 0x12;
    RecordKey::from([&[SHA2_256, 32], &network[..]].concat())
}

/// Announces this node, looks for others, and keeps the bounds.
#[derive(Debug)]
pub struct Finder {
    key: RecordKey,
    lookup: Option<Lookup>,
    /// What was left out since the start.
    pub ignored: Ignored,
}

#[derive(Debug)]
struct Lookup {
    query: QueryId,
    found: BTreeSet<PeerId>,
}

impl Finder {
    /// A finder of the nodes of a network.
    pub fn new(network: &[u8; 32]) -> Self {
        Self { key: key_of(network), lookup: None, ignored: Ignored::default() }
    }

    /// Announces this node to those peers of the table that are nearest to the key.
    pub fn announce(&self, kademlia: &mut Kademlia) {
        if let Err(error) = kademlia.start_providing(self.key.clone()) {
            // This key was the first in the store, so there is room for it.
            tracing::warn!(%error, "cannot announce this node in the Kademlia table");
        }
    }

    /// Looks for others, unless a lookup is under way.
    pub fn look_up(&mut self, kademlia: &mut Kademlia) {
        if self.lookup.is_none() {
            let query = kademlia.get_providers(self.key.clone());
            self.lookup = Some(Lookup { query, found: BTreeSet::new() });
        }
    }

    /// A peer has said who it is: if it serves the table, it is put there.
    pub fn identified(&mut self, kademlia: &mut Kademlia, peer: PeerId, info: &libp2p::identify::Info) {
        if info.protocols.contains(&PROTOCOL) {
            let ignored = routing::learn(kademlia, peer, &info.listen_addrs, MAX_ADDRESSES);
            self.ignored.addresses += ignored as u64;
        }
    }

    /// What an event of the table means: peers that were found.
    pub fn handle(&mut self, kademlia: &mut Kademlia, event: kad::Event) -> Vec<Found> {
        match event {
            kad::Event::InboundRequest { request } => self.asked(kademlia, request),
            kad::Event::OutboundQueryProgressed { id, result: QueryResult::GetProviders(result), .. }
                if self.lookup.as_ref().is_some_and(|lookup| lookup.query == id) =>
            {
                match result {
                    Ok(GetProvidersOk::FoundProviders { providers, .. }) => {
                        let providers: BTreeSet<PeerId> = providers.into_iter().collect();
                        return self.found(kademlia, providers);
                    }
                    Ok(GetProvidersOk::FinishedWithNoAdditionalRecord { .. }) | Err(_) => self.lookup = None,
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn found(&mut self, kademlia: &mut Kademlia, providers: BTreeSet<PeerId>) -> Vec<Found> {
        let Some(lookup) = self.lookup.as_mut() else { return Vec::new() };
        let mut found = Vec::new();
        for peer in providers {
            if lookup.found.contains(&peer) {
                continue;
            }
            if lookup.found.len() >= MAX_FOUND {
                self.ignored.providers += 1;
                if let Some(mut query) = kademlia.query_mut(&lookup.query) {
                    query.finish();
                }
                continue;
            }
            lookup.found.insert(peer);
            let (addresses, useless) = useful_addresses(&peer, &addresses_of(kademlia, peer), MAX_ADDRESSES);
            self.ignored.addresses += useless as u64;
            let with_peer = |address: Multiaddr| address.with_p2p(peer).unwrap_or_else(|address| address);
            let addresses: Vec<Multiaddr> = addresses.into_iter().map(with_peer).collect();
            if addresses.is_empty() {
                self.ignored.unreachable += 1;
            } else {
                found.push(Found { peer, addresses });
            }
        }
        found
    }

    /// What others ask this node to keep: announcements, within bounds, and nothing else.
    fn asked(&mut self, kademlia: &mut Kademlia, request: InboundRequest) {
        match request {
            InboundRequest::AddProvider { record: Some(mut record) } => {
                let (kept, useless) = useful_addresses(&record.provider, &record.addresses, MAX_ADDRESSES);
                record.addresses = kept;
                self.ignored.addresses += useless as u64;
                if kademlia.store_mut().add_provider(record).is_err() {
                    self.ignored.records += 1;
                }
            }
            InboundRequest::PutRecord { record: Some(_), .. } => self.ignored.records += 1,
            _ => {}
        }
    }
}

/// Where the table, or the lookup under way, says that a peer is: libp2p tells it to nobody but a dial.
fn addresses_of(kademlia: &mut Kademlia, peer: PeerId) -> Vec<Multiaddr> {
    let nothing_is_dialled = ConnectionId::new_unchecked(0);
    kademlia
        .handle_pending_outbound_connection(nothing_is_dialled, Some(peer), &[], Endpoint::Dialer)
        .unwrap_or_default()
}
