//! A gathering party's side to its trackers: registered with each of them, and told by each who else is.

use crate::{
    node::tracking::reachable,
    trackers::{Action, Trackers},
};
use conclave_behaviours::{
    gathering::GatheringBehaviour,
    rendezvous::{Asked, Event, MAX_RECORDS, Namespace, Record, SignedRecord, Since},
};
use conclave_protocol::{gather::Seat, peer::Peer};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    identity::Keypair,
    swarm::{ConnectionId, dial_opts::DialOpts},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// For how long a party registers: one that has died does not stand in the way of the next try for longer.
const TTL: Duration = Duration::from_secs(30);

/// The trackers of a party.
pub(super) struct TrackerSide {
    trackers: Trackers,
    namespace: Namespace,
    identity: Keypair,
    run: u64,
    dials: BTreeMap<ConnectionId, usize>,
    /// What each has said last.
    listed: BTreeMap<PeerId, Vec<Record>>,
    /// What was last wrong with each.
    errors: BTreeMap<usize, String>,
}

impl TrackerSide {
    /// `network` is the name that the network will have; it has at most 64 bytes, or the terms are refused later.
    pub(super) fn new(addresses: &[Multiaddr], network: &str, identity: Keypair, run: u64) -> Self {
        let short: String = network.chars().take(48).collect();
        Self {
            trackers: Trackers::new(addresses.iter().cloned(), Instant::now()),
            namespace: Namespace::new(format!("conclave/gather/{short}"))
                .expect("at most 48 characters of at most four bytes, and a prefix"),
            identity,
            run,
            dials: BTreeMap::new(),
            listed: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }

    pub(super) fn ask(&mut self) {
        self.trackers.ask();
    }

    pub(super) fn leave(&mut self) {
        self.trackers.leave(Instant::now());
    }

    pub(super) fn has_left(&self) -> bool {
        self.trackers.has_left()
    }

    /// What is wrong with trackers.
    pub(super) fn errors(&self) -> Vec<String> {
        self.errors.values().cloned().collect()
    }

    /// Does what is due.
    pub(super) fn act(&mut self, swarm: &mut Swarm<GatheringBehaviour>) {
        let addresses = reachable(swarm.external_addresses().chain(swarm.listeners()));
        for action in self.trackers.due(Instant::now(), !addresses.is_empty()) {
            let namespace = self.namespace.clone();
            let client = &mut swarm.behaviour_mut().rendezvous;
            let (number, asked) = match action {
                Action::Dial(number, address) => {
                    let options = DialOpts::from(address);
                    self.dials.insert(options.connection_id(), number);
                    let connection = options.connection_id();
                    if let Err(error) = swarm.dial(options) {
                        self.dial_failed(connection, &error.to_string());
                    }
                    continue;
                }
                Action::Register(number, peer) => {
                    let record = SignedRecord::new(&self.identity, &addresses, self.run)
                        .expect("an Ed25519 key signs whatever it is given");
                    (number, client.register(peer, namespace, record, TTL))
                }
                // All of them each time: who has left is no longer named.
                Action::Discover(number, peer, _) => {
                    (number, client.discover(peer, namespace, Since::Beginning, MAX_RECORDS))
                }
                Action::Unregister(number, peer) => (number, client.unregister(peer, namespace)),
            };
            if let Err(busy) = asked {
                self.failed(number, None, &busy.to_string());
            }
        }
    }

    pub(super) fn established(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(number) = self.dials.remove(&connection) {
            self.trackers.connected(number, peer);
        }
    }

    pub(super) fn closed(&mut self, peer: &PeerId) {
        self.trackers.disconnected(peer);
    }

    pub(super) fn dial_failed(&mut self, connection: ConnectionId, reason: &str) {
        if let Some(number) = self.dials.remove(&connection) {
            self.failed(number, None, reason);
        }
    }

    fn failed(&mut self, number: usize, asked: Option<Asked>, reason: &str) {
        if self.trackers.failed(number, asked, Instant::now(), 0.0) == 1 {
            tracing::warn!(tracker = number, reason, "a tracker fails; it is tried again");
        }
        self.errors.insert(number, reason.to_owned());
    }

    /// Everybody whom the trackers list, if that is what one of them has said.
    pub(super) fn event(&mut self, event: Event) -> Option<Vec<Seat>> {
        let (Event::Registered { tracker, .. }
        | Event::Discovered { tracker, .. }
        | Event::Unregistered { tracker, .. }
        | Event::Failed { tracker, .. }) = &event;
        let number = self.trackers.of_peer(tracker)?;
        match event {
            Event::Registered { ttl, .. } => self.trackers.registered(number, ttl, Instant::now()),
            Event::Unregistered { .. } => self.trackers.unregistered(number),
            Event::Failed { asked, reason, .. } => self.failed(number, Some(asked), &reason),
            Event::Discovered { tracker, records, .. } => {
                self.errors.remove(&number);
                self.trackers.told(number, false);
                self.listed.insert(tracker, records);
                return Some(self.seats());
            }
        }
        None
    }

    fn seats(&self) -> Vec<Seat> {
        let seat = |record: &Record| {
            let peer = Peer::from_bytes(&record.peer.to_bytes()).ok()?;
            Some(Seat { peer, run: record.sequence })
        };
        self.listed.values().flatten().filter_map(seat).collect()
    }

    /// Where a party said that it is.
    pub(super) fn addresses_of(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let of_peer = self.listed.values().flatten().filter(|record| record.peer == *peer);
        let mut addresses: Vec<Multiaddr> = of_peer.flat_map(|record| record.addresses.clone()).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }
}
