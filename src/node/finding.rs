//! The finders that need no tracker, and NAT traversal: when the Kademlia table is asked, what is told to the logic of
//! what was found, places at relays, and direct connections that take the place of relayed ones.
//!
//! Whatever libp2p dials by itself (peers of the table, relays, peers to dial back) is held back from the logic until it
//! turns out to be a node of this network, like the connections to trackers; so are connections of strangers where this
//! node serves them.

use super::{
    network::{Network, peer_of},
    tracking::reachable,
};
use crate::config::discovery::DiscoveryConfig;
use conclave_behaviours::{
    discovery::{self, Finder, Found},
    nat::BehaviourEvent as NatEvent,
};
use conclave_protocol::{known_peers::Source, node::Input};
use libp2p::{
    Multiaddr, PeerId, autonat,
    core::{ConnectedPoint, transport::ListenerId},
    identify, kad, mdns,
    multiaddr::Protocol,
    relay,
    swarm::ConnectionId,
    upnp,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Time from one lookup in the Kademlia table to the next, when nothing asks for one.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(60);

/// Shortest time between two lookups: the logic may ask, and the table may grow, at any time.
const LOOKUP_PAUSE: Duration = Duration::from_secs(2);

/// After this time a place at a relay is asked for again that was refused or lost.
const RELAY_RETRY: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// What the network keeps for its finders and for NAT traversal.
pub(super) struct Finding {
    config: DiscoveryConfig,
    serves_tracker: bool,
    finder: Option<Finder>,
    next_lookup: Option<Instant>,
    last_lookup: Option<Instant>,
    places: Vec<Place>,
    /// Relayed connections and whose they are.
    relayed: BTreeMap<ConnectionId, PeerId>,
    /// Connections of which the logic was told and whose they are.
    told: BTreeMap<ConnectionId, PeerId>,
    found: Family<Kind, Counter>,
    ignored: Family<Kind, Counter>,
    hole_punches: Family<Kind, Counter>,
}

/// A place at a relay.
struct Place {
    relay: Multiaddr,
    listener: Option<ListenerId>,
    next: Instant,
}

impl Finding {
    /// The finders of a network with this id; nothing is done before [`Network::find`].
    pub(super) fn new(
        config: DiscoveryConfig,
        serves_tracker: bool,
        network: &[u8; 32],
        registry: &mut Registry,
    ) -> Self {
        let now = Instant::now();
        let place = |relay: &Multiaddr| Place { relay: relay.clone(), listener: None, next: now };
        let finding = Self {
            finder: config.kademlia.then(|| Finder::new(network)),
            next_lookup: config.kademlia.then_some(now),
            last_lookup: None,
            places: config.relays.iter().map(place).collect(),
            relayed: BTreeMap::new(),
            told: BTreeMap::new(),
            found: Family::default(),
            ignored: Family::default(),
            hole_punches: Family::default(),
            serves_tracker,
            config,
        };
        let registry = registry.sub_registry_with_prefix("conclave");
        registry.register(
            "found_peers",
            "Peers that a finder named, by finder: kademlia or mdns; one that is named twice counts twice",
            finding.found.clone(),
        );
        registry.register(
            "ignored_findings",
            "What finders were told and ignored, because it was too much or useless: providers, unreachable \
             ones, addresses or records",
            finding.ignored.clone(),
        );
        registry.register(
            "hole_punches",
            "Attempts to turn a relayed connection into a direct one: done or failed",
            finding.hole_punches.clone(),
        );
        finding
    }

    /// Whether strangers may have business here that need no handshake.
    fn serves_strangers(&self) -> bool {
        let nat = &self.config.nat;
        self.serves_tracker || self.config.kademlia || nat.relay_server || nat.autonat
    }

    /// Whether the logic was told of a connection to a peer that is still open.
    pub(super) fn is_told(&self, peer: &PeerId) -> bool {
        self.told.values().any(|other| other == peer)
    }

    /// Notes that the logic is told of a connection.
    pub(super) fn tell(&mut self, peer: PeerId, connection: ConnectionId) {
        self.told.insert(connection, peer);
    }

    fn is_relayed(&self, peer: &PeerId) -> bool {
        self.relayed.values().any(|other| other == peer)
    }

    /// Forgets a connection.
    pub(super) fn disconnected(&mut self, connection: ConnectionId) {
        self.relayed.remove(&connection);
        self.told.remove(&connection);
    }

    fn count_ignored(&self, before: discovery::Ignored) {
        let Some(finder) = &self.finder else { return };
        let after = finder.ignored;
        for (kind, more) in [
            ("providers", after.providers - before.providers),
            ("unreachable", after.unreachable - before.unreachable),
            ("addresses", after.addresses - before.addresses),
            ("records", after.records - before.records),
        ] {
            if more > 0 {
                self.ignored.get_or_create(&Kind { kind }).inc_by(more);
            }
        }
    }

    fn inputs(&self, found: Vec<Found>, source: Source) -> Vec<Input> {
        let kind = if source == Source::Mdns { "mdns" } else { "kademlia" };
        self.found.get_or_create(&Kind { kind }).inc_by(found.len() as u64);
        let input = |found: Found| {
            let addresses = found.addresses.iter().map(ToString::to_string).collect();
            Some(Input::Found { peer: peer_of(&found.peer)?, addresses, source, by: None })
        };
        found.into_iter().filter_map(input).collect()
    }
}

impl Network {
    /// Says what others are to be told of this node's addresses.
    pub(super) fn start_finding(&mut self) {
        for address in self.finding.config.external.clone() {
            self.swarm.add_external_address(address);
        }
    }

    /// Whether a new connection is none that the logic has dialled or waits for: one of libp2p's own, one of a stranger
    /// where this node serves strangers, or a direct one to a peer with a relayed one, whose place it is to take.
    pub(super) fn is_unasked(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
    ) -> bool {
        let finding = &mut self.finding;
        let takes_place = finding.config.nat.hole_punching && finding.is_relayed(&peer);
        if endpoint.is_relayed() {
            finding.relayed.insert(connection, peer);
        }
        let logic_dialled =
            self.dials.contains_key(&connection) || self.dials_of_peers.contains_key(&connection);
        let is_own = endpoint.is_dialer() && !logic_dialled;
        let is_strangers = !endpoint.is_dialer() && self.finding.serves_strangers();
        (takes_place && !endpoint.is_relayed()) || is_own || is_strangers
    }

    /// When [`Network::find`] wants to be called.
    pub(super) fn next_finding(&self) -> Option<Instant> {
        let places = self.finding.places.iter().filter(|place| place.listener.is_none());
        places.map(|place| place.next).chain(self.finding.next_lookup).min()
    }

    /// Does what is due: a lookup, places at relays.
    pub(super) fn find(&mut self) {
        let now = Instant::now();
        if self.finding.next_lookup.is_some_and(|due| due <= now) {
            self.look_up(now);
        }
        for number in 0..self.finding.places.len() {
            let place = &self.finding.places[number];
            if place.listener.is_none() && place.next <= now {
                self.reserve(number, now);
            }
        }
    }

    /// The logic wants to know more peers, or there are more to ask.
    pub(super) fn ask_finders(&mut self) {
        let finding = &mut self.finding;
        let soonest = finding.last_lookup.map_or_else(Instant::now, |last| last + LOOKUP_PAUSE);
        finding.next_lookup = finding.next_lookup.map(|next| next.min(soonest));
    }

    fn look_up(&mut self, now: Instant) {
        let finding = &mut self.finding;
        let Some(kademlia) = self.swarm.behaviour_mut().kademlia.as_mut() else { return };
        let Some(finder) = finding.finder.as_mut() else { return };
        for (peer, address) in &finding.config.kademlia_peers {
            // A peer that could not be dialled is gone from the table.
            kademlia.add_address(peer, address.clone());
        }
        finder.announce(kademlia);
        finder.look_up(kademlia);
        finding.last_lookup = Some(now);
        finding.next_lookup = Some(now + LOOKUP_INTERVAL);
    }

    fn reserve(&mut self, number: usize, now: Instant) {
        let place = &mut self.finding.places[number];
        place.next = now + RELAY_RETRY;
        match self.swarm.listen_on(place.relay.clone().with(Protocol::P2pCircuit)) {
            Ok(listener) => place.listener = Some(listener),
            Err(error) => {
                tracing::warn!(relay = %place.relay, %error, "cannot ask the relay for a place; trying again");
            }
        }
    }

    /// A listener is gone: if it was a place at a relay, it is asked for again.
    pub(super) fn listener_closed(&mut self, listener: ListenerId, reason: Result<(), &std::io::Error>) {
        let mut places = self.finding.places.iter_mut();
        if let Some(place) = places.find(|place| place.listener == Some(listener)) {
            place.listener = None;
            place.next = Instant::now() + RELAY_RETRY;
            let reason = reason.err().map_or_else(|| "closed".to_owned(), ToString::to_string);
            tracing::warn!(relay = %place.relay, reason, "no place at the relay; trying again");
        }
    }

    /// The addresses at which this node listens have changed: a relay server tells those that mean something to others
    /// to whoever reserves a place.
    pub(super) fn tell_listened(&mut self, gone: Option<&Multiaddr>) {
        if !self.finding.config.nat.relay_server {
            return;
        }
        let is_direct = |address: &&Multiaddr| !address.iter().any(|part| part == Protocol::P2pCircuit);
        let direct: Vec<Multiaddr> = self.swarm.listeners().filter(is_direct).cloned().collect();
        let told = reachable(direct.iter());
        let is_configured = |address: &&Multiaddr| self.finding.config.external.contains(address);
        let untold = direct.iter().filter(|address| !told.contains(address)).chain(gone);
        for address in untold.filter(|address| !is_configured(address)) {
            self.swarm.remove_external_address(address);
        }
        for address in told {
            self.swarm.add_external_address(address);
        }
    }

    /// A peer has said who it is.
    pub(super) fn learn(&mut self, peer: PeerId, info: &identify::Info) {
        let finding = &mut self.finding;
        let Some(kademlia) = self.swarm.behaviour_mut().kademlia.as_mut() else { return };
        let Some(finder) = finding.finder.as_mut() else { return };
        let before = finder.ignored;
        finder.identified(kademlia, peer, info);
        finding.count_ignored(before);
    }

    /// What an event of the table means.
    pub(super) fn kademlia_event(&mut self, event: kad::Event) -> Vec<Input> {
        if matches!(event, kad::Event::RoutingUpdated { is_new_peer: true, .. }) {
            // Somebody new may know more, and is to know of this node.
            self.ask_finders();
        }
        let finding = &mut self.finding;
        let Some(kademlia) = self.swarm.behaviour_mut().kademlia.as_mut() else { return Vec::new() };
        let Some(finder) = finding.finder.as_mut() else { return Vec::new() };
        let before = finder.ignored;
        let found = finder.handle(kademlia, event);
        finding.count_ignored(before);
        finding.inputs(found, Source::Kademlia)
    }

    /// What the local network says.
    pub(super) fn mdns_event(&mut self, event: mdns::Event) -> Vec<Input> {
        self.finding.inputs(discovery::local::found(event), Source::Mdns)
    }

    /// What an event of NAT traversal means: most are for people.
    pub(super) fn nat_event(&mut self, event: NatEvent) -> Vec<Input> {
        match event {
            NatEvent::RelayClient(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                renewal,
                ..
            }) => {
                if !renewal {
                    tracing::info!(relay = %relay_peer_id, "a relay has given this node a place");
                }
            }
            NatEvent::RelayServer(event) => tracing::debug!(?event, "relay"),
            NatEvent::HolePunching(event) => {
                let kind = if event.result.is_ok() { "done" } else { "failed" };
                self.finding.hole_punches.get_or_create(&Kind { kind }).inc();
                match event.result {
                    Ok(_) => self.replace_relayed(event.remote_peer_id),
                    Err(error) => {
                        tracing::debug!(peer = %event.remote_peer_id, %error, "the relayed connection stays");
                    }
                }
            }
            NatEvent::AutonatClient(autonat::v2::client::Event { tested_addr, server, result, .. }) => {
                let works = result.is_ok();
                tracing::debug!(address = %tested_addr, %server, works, "an address of this node was tried");
            }
            NatEvent::Upnp(upnp::Event::NewExternalAddr { external_addr, .. }) => {
                tracing::info!(address = %external_addr, "the router has opened a port");
            }
            NatEvent::Upnp(upnp::Event::GatewayNotFound) => {
                tracing::warn!("UPnP: no router answers");
            }
            NatEvent::Upnp(upnp::Event::NonRoutableGateway) => {
                tracing::warn!("UPnP: the router itself is behind another one, so its port is of no use");
            }
            NatEvent::AutonatServer(_) | NatEvent::RelayClient(_) | NatEvent::Upnp(_) => {}
        }
        Vec::new()
    }

    /// A direct connection to a peer is there: the relayed ones are closed, and the direct one is told to the logic when
    /// they are gone.
    fn replace_relayed(&mut self, peer: PeerId) {
        tracing::info!(%peer, "a direct connection takes the place of the relayed one");
        for (connection, of) in &self.finding.relayed {
            if *of == peer {
                self.swarm.close_connection(*connection);
            }
        }
    }
}
