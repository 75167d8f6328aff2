//! Connections between hosts, and what is under way on them.
//!
//! A connection is reliable while it lasts, as TCP and QUIC are: a lost packet only comes later, and holds back what
//! follows it on the same stream. Small frames of a channel are one stream, its bulk frames another, and every request
//! is a stream of its own. A cut stalls packets; they arrive when the network is whole again, or are lost with their
//! connection.

use super::event::{Event, Packet};
use conclave_protocol::{node::Channel, time::Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A connection between two hosts.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// Who dialled, and whom.
    pub(super) ends: [usize; 2],
    /// Which of the ends have heard that it is there.
    pub(super) known: [bool; 2],
    /// Whether it is still there.
    pub(super) is_up: bool,
    /// When it was made.
    pub(super) since: Time,
}

impl Connection {
    pub(super) fn other(&self, host: usize) -> usize {
        if self.ends[0] == host { self.ends[1] } else { self.ends[0] }
    }

    pub(super) fn side(&self, host: usize) -> usize {
        usize::from(self.ends[0] != host)
    }
}

/// A stream whose packets keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stream {
    pub(super) connection: u64,
    pub(super) to: usize,
    pub(super) channel: Channel,
    pub(super) bulk: bool,
}

/// All connections.
#[derive(Default)]
pub(super) struct Links {
    connections: BTreeMap<u64, Connection>,
    /// Those of two hosts, the smaller number first, in the order in which they were made.
    pairs: BTreeMap<(usize, usize), Vec<u64>>,
    made: u64,
    /// Gates that are open, by host and peer.
    gates: BTreeSet<(usize, usize)>,
    /// Frames that wait for a gate, by connection and receiver.
    waiting: BTreeMap<(u64, usize), VecDeque<Packet>>,
    /// When the last packet of a stream arrives.
    last: BTreeMap<Stream, Time>,
    /// Hosts on one side of a cut.
    pub(super) cut: Option<BTreeSet<usize>>,
    /// Packets that a cut holds up, in order.
    pub(super) stalled: Vec<Event>,
}

impl Links {
    pub(super) fn make(&mut self, from: usize, to: usize, now: Time) -> u64 {
        self.made += 1;
        let connection = Connection { ends: [from, to], known: [false; 2], is_up: true, since: now };
        self.connections.insert(self.made, connection);
        self.pairs.entry((from.min(to), from.max(to))).or_default().push(self.made);
        self.made
    }

    pub(super) fn get(&self, connection: u64) -> Option<&Connection> {
        self.connections.get(&connection)
    }

    pub(super) fn get_mut(&mut self, connection: u64) -> Option<&mut Connection> {
        self.connections.get_mut(&connection)
    }

    /// The connection that carries what a host sends to another: the oldest that is up.
    pub(super) fn between(&self, host: usize, other: usize) -> Option<u64> {
        let pair = self.pairs.get(&(host.min(other), host.max(other)))?;
        let known = |connection: &Connection| connection.is_up && connection.known[connection.side(host)];
        pair.iter().copied().find(|number| self.connections.get(number).is_some_and(known))
    }

    /// Connections of a host that are up.
    pub(super) fn of(&self, host: usize) -> Vec<u64> {
        let up = self.connections.iter().filter(|(_, connection)| {
            connection.is_up && (connection.ends[0] == host || connection.ends[1] == host)
        });
        up.map(|(number, _)| *number).collect()
    }

    /// Connections that lead across the cut.
    pub(super) fn across(&self) -> Vec<u64> {
        let across = self.connections.iter().filter(|(_, connection)| {
            connection.is_up && self.is_cut(connection.ends[0], connection.ends[1])
        });
        across.map(|(number, _)| *number).collect()
    }

    /// A connection is gone, and what was under way on it.
    pub(super) fn break_up(&mut self, connection: u64) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.is_up = false;
        }
        self.waiting.retain(|(of, _), _| *of != connection);
        self.last.retain(|stream, _| stream.connection != connection);
        self.stalled
            .retain(|event| !matches!(event, Event::Arrival { connection: of, .. } if *of == connection));
    }

    /// Both ends have heard that it is gone.
    pub(super) fn forget(&mut self, connection: u64) {
        if let Some(Connection { ends: [a, b], .. }) = self.connections.remove(&connection)
            && let Some(pair) = self.pairs.get_mut(&(a.min(b), a.max(b)))
        {
            pair.retain(|number| *number != connection);
        }
    }

    /// Whether two hosts are on different sides of a cut.
    pub(super) fn is_cut(&self, host: usize, other: usize) -> bool {
        self.cut.as_ref().is_some_and(|side| side.contains(&host) != side.contains(&other))
    }

    /// When a packet arrives that would take until `at`: not before what was sent before it on its stream.
    pub(super) fn in_order(&mut self, stream: Stream, at: Time) -> Time {
        let last = self.last.entry(stream).or_default();
        *last = at.max(*last);
        *last
    }

    pub(super) fn is_open(&self, host: usize, peer: usize) -> bool {
        self.gates.contains(&(host, peer))
    }

    /// Opens a host's gate to a peer; true if it was closed.
    pub(super) fn open(&mut self, host: usize, peer: usize) -> bool {
        self.gates.insert((host, peer))
    }

    pub(super) fn close(&mut self, host: usize, peer: usize) {
        self.gates.remove(&(host, peer));
    }

    /// Closes all gates of a host that is gone.
    pub(super) fn close_all(&mut self, host: usize) {
        self.gates.retain(|(of, _)| *of != host);
    }

    /// Keeps a frame for the moment at which the receiver opens its gate.
    pub(super) fn wait(&mut self, connection: u64, to: usize, packet: Packet) {
        self.waiting.entry((connection, to)).or_default().push_back(packet);
    }

    /// What has waited for a gate.
    pub(super) fn waited(&mut self, connection: u64, to: usize) -> VecDeque<Packet> {
        self.waiting.remove(&(connection, to)).unwrap_or_default()
    }
}
