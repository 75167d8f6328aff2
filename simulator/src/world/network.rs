//! Dials, connections, frames, requests: what libp2p is to a real node.

use super::{
    World,
    event::{Dialled, Event, Packet},
    host::Asked,
    links::Stream,
};
use crate::{latency::chance, observation::Observation};
use conclave_protocol::{
    handshake::{Command, Direction},
    node::{Channel, Input, Protocol},
    time::Time,
};
use std::{sync::Arc, time::Duration};

/// How long a connection that is refused stays open for the answer to get there.
pub(super) const CLOSING_GRACE: Duration = Duration::from_millis(100);

/// How long a dial waits for an answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// After this time without a response a request has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How often one packet is lost at most.
pub(super) const MAX_LOSSES: u32 = 3;

/// The multiaddr of a host.
pub(super) fn address_of(host: usize) -> String {
    format!("/ip4/10.{}.{}.1/tcp/7700", host / 256, host % 256)
}

/// The host with a multiaddr.
pub(super) fn host_at(address: &str) -> Option<usize> {
    let mut parts = address.strip_prefix("/ip4/10.")?.split('.');
    let mut part = || parts.next()?.parse::<usize>().ok();
    Some(part()? * 256 + part()?)
}

impl World<'_> {
    /// How long a packet takes that is sent now, with what the transport loses on the way.
    fn travel(&mut self, from: usize, to: usize) -> Duration {
        let mut takes = self.scenario.latency.draw(from, to, &mut self.random);
        for _ in 0..MAX_LOSSES {
            if chance(self.scenario.loss, &mut self.random) {
                takes += self.scenario.retransmission;
            }
        }
        takes
    }

    // --- Connections -----------------------------------------------------------------------------------------

    pub(super) fn dial(&mut self, from: usize, to: usize, dialled: Dialled) {
        let boot = self.hosts[from].boot;
        let is_reachable =
            to < self.hosts.len() && self.are_acquainted(from, to) && !self.links.is_cut(from, to);
        let takes = if is_reachable { self.travel(from, to) } else { DIAL_TIMEOUT };
        self.queue.put(self.now + takes, Event::Dial { from, boot, to, dialled });
    }

    pub(super) fn happen_on_network(&mut self, event: Event) {
        match event {
            Event::Dial { from, boot, to, dialled } => self.dialled(from, boot, to, dialled),
            Event::Established { connection, side } => self.established(connection, side, None),
            Event::Close { connection } => self.close(connection, Duration::ZERO),
            Event::Closed { connection, side } => self.closed(connection, side),
            Event::ChannelsOpened { connection, side } => self.channels_opened(connection, side),
            Event::Arrival { connection, to, packet } => self.arrive(connection, to, packet),
            Event::RequestTimeout { host, boot, connection, protocol, number } => {
                let waits = self.is_running(host, boot)
                    && self.hosts[host]
                        .process
                        .as_mut()
                        .is_some_and(|process| process.outbound.remove(&(connection, protocol, number)));
                if waits && let Some(peer) = self.other_end(connection, host) {
                    let peer = self.hosts[peer].peer;
                    self.input(host, Input::RequestFailed { peer, protocol, number });
                }
            }
            _ => {}
        }
    }

    fn other_end(&self, connection: u64, host: usize) -> Option<usize> {
        self.links.get(connection).map(|connection| connection.other(host))
    }

    fn dialled(&mut self, from: usize, boot: u32, to: usize, dialled: Dialled) {
        if !self.is_running(from, boot) {
            return;
        }
        let is_there = to < self.hosts.len()
            && self.hosts[to].is_up()
            && self.hosts[to].paused_until.is_none_or(|until| until <= self.now)
            && self.are_acquainted(from, to)
            && !self.links.is_cut(from, to);
        if !is_there {
            let failed = match dialled {
                Dialled::Address(address) => Input::Handshake(Command::DialFailed { address }),
                Dialled::Peer => Input::DialFailed(self.hosts[to].peer),
            };
            return self.input(from, failed);
        }
        let connection = self.links.make(from, to, self.now);
        let takes = self.travel(to, from);
        self.queue.put(self.now + takes, Event::Established { connection, side: 1 });
        let address = match dialled {
            Dialled::Address(address) => Some(address),
            Dialled::Peer => None,
        };
        self.established(connection, 0, address);
    }

    fn established(&mut self, connection: u64, side: usize, dialled: Option<String>) {
        let Some(link) = self.links.get_mut(connection).filter(|link| link.is_up) else { return };
        link.known[side] = true;
        let (host, other) = (link.ends[side], link.ends[1 - side]);
        let peer = self.hosts[other].peer;
        let direction = if side == 0 { Direction::Dialled } else { Direction::Accepted };
        self.note(b'c', host, &(other as u64).to_be_bytes());
        self.input(host, Input::RemoteAddress { peer, address: address_of(other) });
        let command = Command::ConnectionEstablished { peer, connection, direction, address: dialled };
        self.input(host, Input::Handshake(command));
    }

    /// A connection ends; the ends hear of it a little later, or after `silence` where nothing tells them.
    pub(super) fn close(&mut self, connection: u64, silence: Duration) {
        let Some(link) = self.links.get(connection).filter(|link| link.is_up).cloned() else { return };
        self.links.break_up(connection);
        let takes = self.travel(link.ends[0], link.ends[1]);
        self.queue.put(self.now + silence, Event::Closed { connection, side: 0 });
        self.queue.put(self.now + silence + takes, Event::Closed { connection, side: 1 });
    }

    fn closed(&mut self, connection: u64, side: usize) {
        let Some(link) = self.links.get(connection).cloned() else { return };
        if side == 1 {
            self.links.forget(connection);
        }
        let (host, other) = (link.ends[side], link.ends[1 - side]);
        if !link.known[side] || !self.hosts[host].is_up() || self.hosts[host].clock.started > link.since {
            return;
        }
        let peer = self.hosts[other].peer;
        let lost: Vec<(u64, Protocol, u64)> =
            self.hosts[host].process.as_mut().map_or_else(Vec::new, |process| {
                process.inbound.retain(|_, asked| asked.connection != connection);
                process.outbound.extract_if(.., |(of, ..)| *of == connection).collect()
            });
        match self.links.between(host, other) {
            Some(takes_over) if self.links.is_open(host, other) => {
                let side = self.links.get(takes_over).map_or(0, |link| link.side(host));
                let takes = self.travel(host, other) * 2;
                self.queue.put(self.now + takes, Event::ChannelsOpened { connection: takes_over, side });
            }
            Some(_) => {}
            None => {
                self.input(host, Input::ChannelClosed(peer, Channel::Consensus));
                self.input(host, Input::ChannelClosed(peer, Channel::Transactions));
            }
        }
        self.input(host, Input::Handshake(Command::ConnectionClosed { peer, connection }));
        for (_, protocol, number) in lost {
            self.input(host, Input::RequestFailed { peer, protocol, number });
        }
    }

    // --- Channels --------------------------------------------------------------------------------------------

    pub(super) fn open_channels(&mut self, host: usize, to: usize) {
        let is_new = self.links.open(host, to);
        let Some(connection) = self.links.between(host, to).filter(|_| is_new) else { return };
        self.put_packet(host, to, connection, Packet::GateOpened);
        let side = self.links.get(connection).map_or(0, |link| link.side(host));
        let takes = self.travel(host, to) * 2;
        self.queue.put(self.now + takes, Event::ChannelsOpened { connection, side });
        for packet in self.links.waited(connection, host) {
            self.queue.put(self.now, Event::Arrival { connection, to: host, packet });
        }
    }

    fn channels_opened(&mut self, connection: u64, side: usize) {
        let Some(link) = self.links.get(connection).filter(|link| link.is_up) else { return };
        let (host, other) = (link.ends[side], link.ends[1 - side]);
        if self.links.is_open(host, other) {
            let peer = self.hosts[other].peer;
            self.input(host, Input::ChannelOpened(peer, Channel::Consensus));
            self.input(host, Input::ChannelOpened(peer, Channel::Transactions));
        }
    }

    pub(super) fn send_frame(
        &mut self,
        from: usize,
        to: usize,
        channel: Channel,
        bulk: bool,
        bytes: Arc<[u8]>,
    ) {
        let Some(connection) = self.links.between(from, to).filter(|_| self.links.is_open(from, to)) else {
            return;
        };
        let length = bytes.len() as u64;
        let (frames, sum) = match (channel, bulk) {
            (Channel::Consensus, false) => (&mut self.traffic.votes, &mut self.traffic.vote_bytes),
            (Channel::Consensus, true) => (&mut self.traffic.bodies, &mut self.traffic.body_bytes),
            (Channel::Transactions, _) => {
                (&mut self.traffic.transactions, &mut self.traffic.transaction_bytes)
            }
        };
        *frames += 1;
        *sum += length;
        if channel == Channel::Consensus {
            self.observe(Observation::Sent { from, to, frame: &bytes });
        }
        if chance(self.scenario.duplication, &mut self.random) {
            let packet = Packet::Frame { channel, bulk, bytes: bytes.clone() };
            self.put_packet(from, to, connection, packet);
        }
        self.put_packet(from, to, connection, Packet::Frame { channel, bulk, bytes });
    }

    // --- Requests --------------------------------------------------------------------------------------------

    pub(super) fn request(
        &mut self,
        from: usize,
        to: usize,
        protocol: Protocol,
        number: u64,
        bytes: Vec<u8>,
    ) {
        let Some(connection) = self.links.between(from, to) else {
            let peer = self.hosts[to].peer;
            return self.input(from, Input::RequestFailed { peer, protocol, number });
        };
        self.count_exchange(bytes.len());
        if let Some(process) = &mut self.hosts[from].process {
            process.outbound.insert((connection, protocol, number));
        }
        let boot = self.hosts[from].boot;
        let timeout = Event::RequestTimeout { host: from, boot, connection, protocol, number };
        self.queue.put(self.now + REQUEST_TIMEOUT, timeout);
        self.put_packet(from, to, connection, Packet::Request { protocol, number, bytes });
    }

    /// Answers a request of a peer, or drops it.
    pub(super) fn respond(&mut self, host: usize, number: u64, bytes: Option<Vec<u8>>) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(Asked { by, connection, protocol, number }) = process.inbound.remove(&number) else {
            return;
        };
        let packet = match bytes {
            Some(bytes) => {
                self.count_exchange(bytes.len());
                Packet::Response { protocol, number, bytes }
            }
            None => Packet::Unanswered { protocol, number },
        };
        self.put_packet(host, by, connection, packet);
    }

    fn count_exchange(&mut self, length: usize) {
        self.traffic.exchanges += 1;
        self.traffic.exchange_bytes += length as u64;
    }

    // --- Packets ---------------------------------------------------------------------------------------------

    /// Sends a packet on its way.
    pub(super) fn put_packet(&mut self, from: usize, to: usize, connection: u64, packet: Packet) {
        let event = Event::Arrival { connection, to, packet };
        if self.links.is_cut(from, to) {
            return self.links.stalled.push(event);
        }
        let at = self.arrival(from, &event);
        self.queue.put(at, event);
    }

    /// When something that is sent now arrives.
    pub(super) fn arrival(&mut self, from: usize, event: &Event) -> Time {
        let Event::Arrival { connection, to, packet } = event else { return self.now };
        let at = self.now + self.travel(from, *to);
        match packet {
            Packet::Frame { channel, bulk, .. } => {
                let stream = Stream { connection: *connection, to: *to, channel: *channel, bulk: *bulk };
                self.links.in_order(stream, at)
            }
            _ => at,
        }
    }

    fn arrive(&mut self, connection: u64, to: usize, packet: Packet) {
        let Some(link) = self.links.get(connection).filter(|link| link.is_up) else { return };
        if !self.hosts[to].is_up() {
            return;
        }
        let (from, is_known) = (link.other(to), link.known[link.side(to)]);
        if !is_known {
            // Its end does not know of the connection yet, and reads what is there as soon as it does.
            let event = Event::Arrival { connection, to, packet };
            return self.queue.put(self.now + Duration::from_millis(1), event);
        }
        let peer = self.hosts[from].peer;
        match packet {
            Packet::Frame { channel, bytes, bulk } => {
                if self.links.is_open(to, from) {
                    self.note(b'f', to, &bytes);
                    self.input(to, Input::Frame(peer, channel, bytes.to_vec()));
                } else {
                    self.links.wait(connection, to, Packet::Frame { channel, bytes, bulk });
                }
            }
            Packet::GateOpened => {
                if !self.links.is_open(to, from) {
                    self.input(to, Input::ChannelEarly(peer, Channel::Consensus));
                    self.input(to, Input::ChannelEarly(peer, Channel::Transactions));
                }
            }
            Packet::Request { protocol, number, bytes } => {
                self.note(b'q', to, &bytes);
                let Some(process) = &mut self.hosts[to].process else { return };
                process.inbound_numbers += 1;
                let own = process.inbound_numbers;
                process.inbound.insert(own, Asked { by: from, connection, protocol, number });
                self.input(to, Input::Request { peer, protocol, number: own, bytes });
            }
            Packet::Response { protocol, number, bytes } => {
                if self.was_asked(to, connection, protocol, number) {
                    self.note(b'a', to, &bytes);
                    self.input(to, Input::Response { peer, protocol, number, bytes });
                }
            }
            Packet::Unanswered { protocol, number } => {
                if self.was_asked(to, connection, protocol, number) {
                    self.input(to, Input::RequestFailed { peer, protocol, number });
                }
            }
        }
    }

    fn was_asked(&mut self, host: usize, connection: u64, protocol: Protocol, number: u64) -> bool {
        let process = self.hosts[host].process.as_mut();
        process.is_some_and(|process| process.outbound.remove(&(connection, protocol, number)))
    }
}
