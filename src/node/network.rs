//! Between the swarm and the node's logic: identifiers, connections, frames, requests.

use super::{NodeError, dialling::AskedDials, finding::Finding, tracking::Tracking};
use conclave_behaviours::{Behaviour, exchange};
use conclave_protocol::{
    node::{Channel, Input, Protocol},
    peer::Peer,
    time::Time,
};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::{ConnectedPoint, Endpoint},
    multiaddr::Protocol as Part,
    request_response::{InboundRequestId, OutboundRequestId},
    swarm::ConnectionId,
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

/// Requests of peers that wait for the logic's answer; more are dropped, and their peers time out.
pub(super) const MAX_UNANSWERED: usize = 4096;

/// A peer in the form of the machines.
pub(super) fn peer_of(id: &PeerId) -> Option<Peer> {
    Peer::from_bytes(&id.to_bytes()).ok()
}

/// A peer in the form of libp2p.
pub(super) fn id_of(peer: &Peer) -> Option<PeerId> {
    PeerId::from_bytes(peer.as_bytes()).ok()
}

/// A peer for people.
pub(super) fn text_of(peer: &Peer) -> String {
    id_of(peer).map_or_else(|| format!("{peer:?}"), |id| id.to_base58())
}

/// The peer id at the end of a multiaddr; one before `/p2p-circuit` is the relay's.
pub(super) fn peer_in(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Part::P2p(id)) => Some(id),
        _ => None,
    }
}

/// Whether this side of a connection counts as the one that dialled: where both sides dial at the same moment to get
/// through routers, they have agreed on one.
pub(super) fn is_dialled(endpoint: &ConnectedPoint) -> bool {
    matches!(endpoint, ConnectedPoint::Dialer { role_override: Endpoint::Dialer, .. })
}

/// The swarm and what is needed to translate for it.
pub(super) struct Network {
    pub(super) swarm: Swarm<Behaviour>,
    /// Name of this network's handshake.
    pub(super) handshake: String,
    pub(super) inbound: BTreeMap<u64, (Protocol, InboundRequestId, exchange::ResponseChannel)>,
    pub(super) inbound_numbers: u64,
    pub(super) outbound: BTreeMap<(Protocol, OutboundRequestId), u64>,
    pub(super) connections: BTreeMap<u64, ConnectionId>,
    pub(super) connection_numbers: BTreeMap<ConnectionId, u64>,
    /// Addresses being dialled, by the connection that may come of it.
    pub(super) dials: BTreeMap<ConnectionId, String>,
    /// Peers being dialled, likewise.
    pub(super) dials_of_peers: BTreeMap<ConnectionId, Peer>,
    /// Dials that callers wait for.
    pub(super) asked: AskedDials,
    pub(super) closing: VecDeque<(Instant, ConnectionId)>,
    /// Remote addresses of peers, for people.
    pub(super) addresses: BTreeMap<PeerId, String>,
    pub(super) next_connection: u64,
    pub(super) tracking: Tracking,
    pub(super) finding: Finding,
    /// Why incoming connections were denied, until the driver has counted them: after every event.
    pub(super) denied: Vec<&'static str>,
    /// Frames that were not sent, because their peer does not read.
    pub(super) unsent: BTreeMap<Channel, u64>,
}

impl Network {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        handshake: String,
        tracking: Tracking,
        finding: Finding,
    ) -> Self {
        Self {
            swarm,
            handshake,
            tracking,
            finding,
            inbound: BTreeMap::new(),
            inbound_numbers: 0,
            outbound: BTreeMap::new(),
            connections: BTreeMap::new(),
            connection_numbers: BTreeMap::new(),
            dials: BTreeMap::new(),
            dials_of_peers: BTreeMap::new(),
            asked: AskedDials::default(),
            closing: VecDeque::new(),
            addresses: BTreeMap::new(),
            next_connection: 0,
            denied: Vec::new(),
            unsent: BTreeMap::new(),
        }
    }

    pub(super) fn listen(&mut self, addresses: &[Multiaddr]) -> Result<(), NodeError> {
        for address in addresses {
            self.swarm.listen_on(address.clone()).map_err(|error| NodeError::Listen {
                address: address.to_string(),
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    pub(super) fn address_of(&self, id: &PeerId) -> String {
        self.addresses.get(id).cloned().unwrap_or_default()
    }

    /// Subscriptions of peers, each peer and topic counted.
    pub(super) fn subscriptions(&self) -> usize {
        self.swarm.behaviour().announcements.subscriptions()
    }

    pub(super) fn exchange_of(&mut self, protocol: Protocol) -> &mut exchange::Behaviour {
        let behaviour = self.swarm.behaviour_mut();
        match protocol {
            Protocol::Handshake => &mut behaviour.handshake,
            Protocol::Sync => &mut behaviour.sync,
            Protocol::Admission => &mut behaviour.admission,
            Protocol::Peers => &mut behaviour.peers,
        }
    }

    /// Peers that have proved a validator's key: their connections count no longer among those of their addresses.
    pub(super) fn count_no_longer(&mut self, peer: &Peer) {
        id_of(peer).into_iter().for_each(|id| self.swarm.behaviour_mut().address_blocks.release(id));
    }

    /// Why connections were denied since this was last asked.
    pub(super) fn denied(&mut self) -> impl Iterator<Item = &'static str> {
        self.denied.drain(..)
    }

    /// How many frames were not sent since this was last asked, by channel.
    pub(super) fn unsent(&mut self) -> BTreeMap<Channel, u64> {
        std::mem::take(&mut self.unsent)
    }

    /// Number of established connections, those to trackers and strangers too.
    pub(super) fn connections(&self) -> u32 {
        self.swarm.network_info().connection_counters().num_established()
    }

    /// Where others reach this node: what it listens on, and what others have confirmed. Loopback counts only where
    /// there is nothing else.
    pub(super) fn own_addresses(&self) -> Input {
        Input::OwnAddresses(self.addresses_to_tell().iter().map(Multiaddr::to_vec).collect())
    }
}

/// The moment of the machines' clock at `instant`.
pub(super) fn time_at(start: Instant, instant: Instant) -> Time {
    Time::after_start(instant.saturating_duration_since(start))
}
