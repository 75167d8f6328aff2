//! The trackers' side of the network: does what [`Trackers`] decides, and holds their connections back from the
//! handshake until it is clear that a tracker is also a node of this network.

use super::{
    network::{Network, is_dialled, peer_of},
    tracker_metrics::TrackerMetrics,
};
use crate::trackers::{Action, TTL, Trackers};
use conclave_behaviours::rendezvous::{self, MAX_RECORDS, Namespace, SignedRecord};
use conclave_protocol::{known_peers::Source, node::Input};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::ConnectedPoint,
    identity::Keypair,
    multiaddr::Protocol,
    swarm::{ConnectionId, DialError, dial_opts::DialOpts},
};
use prometheus_client::registry::Registry;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Most connections that are held back: those to trackers, and those of strangers whom this node serves or asks. More
/// are treated as those of any other peer.
const MAX_HELD_BACK: usize = 256;

/// A connection of which the logic is not told yet.
pub(super) struct HeldBack {
    peer: PeerId,
    remote: Multiaddr,
    dialled: bool,
}

/// What the network keeps for its trackers.
pub(super) struct Tracking {
    trackers: Trackers,
    namespace: Namespace,
    identity: Keypair,
    dials: BTreeMap<ConnectionId, usize>,
    held_back: BTreeMap<ConnectionId, HeldBack>,
    metrics: TrackerMetrics,
}

impl Tracking {
    /// Trackers at `addresses` for the network whose id begins with these hexadecimal digits.
    pub(super) fn new(
        addresses: &[Multiaddr],
        network: &str,
        identity: Keypair,
        registry: &mut Registry,
    ) -> Self {
        Self {
            trackers: Trackers::new(addresses.iter().cloned(), Instant::now()),
            namespace: Namespace::new(format!("conclave/{network}")).expect("it is short and not empty"),
            identity,
            dials: BTreeMap::new(),
            held_back: BTreeMap::new(),
            metrics: TrackerMetrics::register(addresses, registry),
        }
    }
}

impl Network {
    /// The logic wants to know more peers.
    pub(super) fn ask_trackers(&mut self) {
        self.tracking.trackers.ask();
    }

    /// Takes leave of the trackers.
    pub(super) fn leave_trackers(&mut self) {
        self.tracking.trackers.leave(Instant::now());
    }

    /// Whether no tracker has this node registered any more.
    pub(super) fn has_left_trackers(&self) -> bool {
        self.tracking.trackers.has_left()
    }

    /// When [`Network::track`] wants to be called.
    pub(super) fn next_tracking(&self) -> Option<Instant> {
        if self.tracking.trackers.is_empty() {
            return None;
        }
        self.tracking.trackers.next(!self.addresses_to_tell().is_empty())
    }

    /// Asks the trackers what is due.
    pub(super) fn track(&mut self) {
        let now = Instant::now();
        if self.next_tracking().is_none_or(|due| due > now) {
            return;
        }
        let addresses = self.addresses_to_tell();
        for action in self.tracking.trackers.due(now, !addresses.is_empty()) {
            self.act(action, &addresses);
        }
    }

    fn act(&mut self, action: Action, addresses: &[Multiaddr]) {
        let namespace = self.tracking.namespace.clone();
        let client = &mut self.swarm.behaviour_mut().rendezvous;
        let (number, asked) = match action {
            Action::Dial(number, address) => return self.dial_tracker(number, address),
            Action::Register(number, peer) => {
                let record = SignedRecord::new(&self.tracking.identity, addresses, micros_since_1970());
                let record = record.expect("an Ed25519 key signs whatever it is given");
                (number, client.register(peer, namespace, record, TTL))
            }
            Action::Discover(number, peer, since) => {
                (number, client.discover(peer, namespace, since, MAX_RECORDS))
            }
            Action::Unregister(number, peer) => (number, client.unregister(peer, namespace)),
        };
        if let Err(busy) = asked {
            self.tracker_failed(number, None, &busy.to_string());
        }
    }

    fn dial_tracker(&mut self, number: usize, address: Multiaddr) {
        let known = address.iter().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        if let Some(peer) = known.filter(|peer| self.swarm.is_connected(peer)) {
            // It is a node of this network too.
            return self.tracking.trackers.connected(number, peer);
        }
        let options = DialOpts::from(address);
        let connection = options.connection_id();
        self.tracking.dials.insert(connection, number);
        if let Err(error) = self.swarm.dial(options) {
            self.tracker_dial_failed(connection, &error);
        }
    }

    /// Whether the dial that failed was one of a tracker.
    pub(super) fn tracker_dial_failed(&mut self, connection: ConnectionId, error: &DialError) -> bool {
        let Some(number) = self.tracking.dials.remove(&connection) else { return false };
        self.tracker_failed(number, None, &error.to_string());
        true
    }

    fn tracker_failed(&mut self, number: usize, asked: Option<rendezvous::Asked>, reason: &str) {
        let jitter = f64::from(rand_of_clock()) / f64::from(u32::MAX);
        let failures = self.tracking.trackers.failed(number, asked, Instant::now(), jitter);
        self.tracking.metrics.failed(number, asked);
        if matches!(asked, Some(rendezvous::Asked::Register | rendezvous::Asked::Unregister)) {
            self.tracking.metrics.registered(number, false);
        }
        if failures == 1 {
            tracing::warn!(tracker = number, reason, "a tracker fails; it is tried again");
        } else {
            tracing::debug!(tracker = number, reason, failures, "a tracker fails again");
        }
    }

    /// Whether a new connection was dialled to a tracker, or by a finder, and so is held back from the logic.
    pub(super) fn is_held_back(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
    ) -> bool {
        let dialled = self.tracking.dials.remove(&connection);
        if let Some(number) = dialled {
            self.tracking.trackers.connected(number, peer);
        }
        let unasked = self.is_unasked(peer, connection, endpoint);
        let hold = (dialled.is_some() || unasked) && self.tracking.held_back.len() < MAX_HELD_BACK;
        if hold {
            let remote = endpoint.get_remote_address().clone();
            let held = HeldBack { peer, remote, dialled: is_dialled(endpoint) };
            self.tracking.held_back.insert(connection, held);
        }
        hold
    }

    /// Whether a connection that is gone was held back, so that the logic never knew of it.
    pub(super) fn was_held_back(&mut self, peer: &PeerId, connection: ConnectionId, last: bool) -> bool {
        if last {
            self.tracking.trackers.disconnected(peer);
        }
        self.tracking.held_back.remove(&connection).is_some()
    }

    /// Tells the logic of the connections to a peer that has turned out to be a node of this network.
    pub(super) fn release(&mut self, peer: &PeerId) -> Vec<Input> {
        let of_it = |(_, held): &(&ConnectionId, &HeldBack)| held.peer == *peer;
        let released: Vec<ConnectionId> =
            self.tracking.held_back.iter().filter(of_it).map(|(connection, _)| *connection).collect();
        let mut inputs = Vec::new();
        for connection in released {
            if let Some(held) = self.tracking.held_back.remove(&connection) {
                inputs.extend(self.established(held.peer, connection, held.dialled, &held.remote));
            }
        }
        inputs
    }

    /// Whether a connection to this peer is held back.
    pub(super) fn is_held_back_still(&self, peer: &PeerId) -> bool {
        self.tracking.held_back.values().any(|held| held.peer == *peer)
    }

    /// A peer has said what it speaks: if that is this network's handshake, it is one of us. One connection is enough: a
    /// further one, say to dial back, waits until the first is gone or the peer begins a handshake.
    pub(super) fn identified(&mut self, peer: &PeerId, protocols: &[StreamProtocol]) -> Vec<Input> {
        let is_node = protocols.iter().any(|protocol| protocol.as_ref() == self.handshake);
        if is_node && !self.finding.is_told(peer) {
            return self.release(peer);
        }
        Vec::new()
    }

    /// What an answer of a tracker means to the logic.
    pub(super) fn tracker_event(&mut self, event: rendezvous::Event) -> Vec<Input> {
        use rendezvous::Event;
        let (Event::Registered { tracker, .. }
        | Event::Discovered { tracker, .. }
        | Event::Unregistered { tracker, .. }
        | Event::Failed { tracker, .. }) = &event;
        let Some(number) = self.tracking.trackers.of_peer(tracker) else { return Vec::new() };
        match event {
            Event::Registered { tracker, ttl, .. } => {
                tracing::debug!(%tracker, ?ttl, "registered with a tracker");
                self.tracking.trackers.registered(number, ttl, Instant::now());
                self.tracking.metrics.answered(number, rendezvous::Asked::Register);
                self.tracking.metrics.registered(number, true);
            }
            Event::Unregistered { .. } => {
                self.tracking.trackers.unregistered(number);
                self.tracking.metrics.answered(number, rendezvous::Asked::Unregister);
                self.tracking.metrics.registered(number, false);
            }
            Event::Failed { asked, reason, .. } => self.tracker_failed(number, Some(asked), &reason),
            Event::Discovered { tracker, records, ignored, .. } => {
                if ignored > 0 {
                    tracing::warn!(%tracker, ignored, "a tracker tells of peers that have not signed it");
                }
                tracing::debug!(%tracker, records = records.len(), "a tracker tells of peers");
                self.tracking.metrics.answered(number, rendezvous::Asked::Discover);
                self.tracking.metrics.told(number, records.len(), ignored);
                if self.tracking.trackers.told(number, records.len() + ignored >= MAX_RECORDS) {
                    tracing::warn!(%tracker, "a tracker does not come to an end; the rest is not read");
                    self.tracking.metrics.cut_off(number);
                }
                return self.found(&tracker, records);
            }
        }
        Vec::new()
    }

    fn found(&self, tracker: &PeerId, records: Vec<rendezvous::Record>) -> Vec<Input> {
        let (me, by) = (*self.swarm.local_peer_id(), peer_of(tracker));
        let others = records.into_iter().filter(|record| record.peer != me);
        let input = |record: rendezvous::Record| {
            let addresses = record.addresses.iter().map(ToString::to_string).collect();
            Some(Input::Found { peer: peer_of(&record.peer)?, addresses, source: Source::Tracker, by })
        };
        others.filter_map(input).collect()
    }

    /// Addresses at which others may reach this node: those that were confirmed, then those on which it listens.
    pub(super) fn addresses_to_tell(&self) -> Vec<Multiaddr> {
        reachable(self.swarm.external_addresses().chain(self.swarm.listeners()))
    }
}

/// Addresses that mean something to others, each once. Loopback only counts where there is nothing else, as on a
/// machine that runs a network for itself.
pub(crate) fn reachable<'a>(addresses: impl Iterator<Item = &'a Multiaddr>) -> Vec<Multiaddr> {
    let mut kept: Vec<Multiaddr> = Vec::new();
    for address in addresses {
        let unspecified = ip_of(address).is_some_and(|ip| ip.is_unspecified());
        if !unspecified && !kept.contains(address) {
            kept.push(address.clone());
        }
    }
    let is_loopback = |address: &Multiaddr| ip_of(address).is_some_and(|ip| ip.is_loopback());
    if kept.iter().any(|address| !is_loopback(address)) {
        kept.retain(|address| !is_loopback(address));
    }
    kept
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

/// Microseconds since 1970: larger for a newer record.
pub(crate) fn micros_since_1970() -> u64 {
    let since: Duration = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Enough to keep nodes that were cut off together from coming back together.
fn rand_of_clock() -> u32 {
    (micros_since_1970() as u32).wrapping_mul(0x9e37_79b9)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_mean_something_to_others_are_registered() {
        for (listening, said) in [
            (
                &["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"][..],
                &["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"][..],
            ),
            (&["/ip4/127.0.0.1/tcp/1", "/ip4/192.0.2.7/tcp/1"], &["/ip4/192.0.2.7/tcp/1"]),
            (&["/ip4/0.0.0.0/tcp/1"], &[]),
            (&["/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.7/tcp/1"], &["/ip4/192.0.2.7/tcp/1"]),
            (&["/dns/example.org/tcp/1", "/ip4/127.0.0.1/tcp/1"], &["/dns/example.org/tcp/1"]),
        ] {
            let listening: Vec<Multiaddr> = listening.iter().map(|text| text.parse().unwrap()).collect();
            let found: Vec<String> = reachable(listening.iter()).iter().map(ToString::to_string).collect();
            assert_eq!(found, said);
        }
    }
}
