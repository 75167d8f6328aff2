//! What is going to happen in a world, and when.

use conclave_protocol::{
    mining,
    node::{Channel, Protocol},
    sync,
    time::Time,
};
use std::{collections::BTreeMap, sync::Arc};

/// Something that travels from one host to another.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    /// A frame on a channel.
    Frame { channel: Channel, bulk: bool, bytes: Arc<[u8]> },
    /// The sender has opened its side of the channels.
    GateOpened,
    /// A request, with the sender's number.
    Request { protocol: Protocol, number: u64, bytes: Vec<u8> },
    /// An answer, with the number of the request.
    Response { protocol: Protocol, number: u64, bytes: Vec<u8> },
    /// A request is not answered.
    Unanswered { protocol: Protocol, number: u64 },
}

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A packet arrives over a connection.
    Arrival { connection: u64, to: usize, packet: Packet },
    /// A dial reaches the other host.
    Dial { from: usize, boot: u32, to: usize, dialled: Dialled },
    /// A side of a connection hears that it is there.
    Established { connection: u64, side: usize },
    /// A side of a connection that is gone hears of it.
    Closed { connection: u64, side: usize },
    /// A side closes a connection.
    Close { connection: u64 },
    /// Both channels to a peer can be written to.
    ChannelsOpened { connection: u64, side: usize },
    /// A sync of the log ends.
    Synced { host: usize, boot: u32, sequence: u64 },
    /// The database takes what waits.
    Commit { host: usize, boot: u32 },
    /// What the disk found for a peer.
    LookedUp { host: usize, boot: u32, token: u64, request: sync::Request },
    /// What the disk found for a peer, among miners.
    BlocksFound { host: usize, boot: u32, token: u64, request: mining::Request },
    /// A search for the nonce of a header has found it.
    Mined { host: usize, boot: u32, ticket: u64 },
    /// A search for work has found something.
    Solved { host: usize, boot: u32, ticket: u64, solution: u64 },
    /// A request has waited for its answer for long enough.
    RequestTimeout { host: usize, boot: u32, connection: u64, protocol: Protocol, number: u64 },
    /// A host's logic, or its adversary, wants to be called.
    Deadline { host: usize, boot: u32 },
    /// Something of the scenario: the number of the fault.
    Fault(usize),
    /// Something of the scenario: the number of the transaction.
    Submit(usize),
    /// Connections across a cut are given up.
    BreakConnections(u32),
    /// It is time to look whether anything is left to do.
    Look,
}

/// How a host was dialled, for the answer when it fails.
#[derive(Clone, Debug)]
pub(super) enum Dialled {
    /// By an address of the configuration.
    Address(String),
    /// As a known peer.
    Peer,
}

/// Events by time; those of one moment in the order in which they were put in.
#[derive(Default)]
pub(super) struct Queue {
    events: BTreeMap<(Time, u64), Event>,
    sequence: u64,
}

impl Queue {
    pub(super) fn put(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    pub(super) fn next_at(&self) -> Option<Time> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(Time, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }

    /// Takes out, in order, everything that matches.
    pub(super) fn take(&mut self, wanted: impl Fn(&Event) -> bool) -> Vec<(Time, Event)> {
        let taken = self.events.extract_if(.., |_, event| wanted(event));
        taken.map(|((at, _), event)| (at, event)).collect()
    }
}
