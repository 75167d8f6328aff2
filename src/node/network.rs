//! Between the swarm and the node's logic: identifiers, connections, frames, requests.

use super::{NodeError, dialling::AskedDials, finding::Finding, tracking::Tracking};
use conclave_behaviours::{
    Behaviour, BehaviourEvent, address_blocks::TooManyOfBlock, announcements, channel, exchange,
};
use conclave_ledger::hash::Hash;
use conclave_protocol::{
    announcements::{Event, Message, Verdict},
    handshake::{Command, Direction},
    node::{Channel, Effect, Input, Protocol},
    peer::Peer,
    time::Time,
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    core::{ConnectedPoint, Endpoint},
    identify,
    multiaddr::Protocol as Part,
    ping,
    request_response::{self, InboundRequestId, OutboundFailure, OutboundRequestId},
    swarm::{
        ConnectionId, DialError, ListenError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// How long a connection that is refused stays open for the answer to get there.
const CLOSING_GRACE: Duration = Duration::from_millis(100);

/// Requests of peers that wait for the logic's answer; more are dropped, and their peers time out.
const MAX_UNANSWERED: usize = 4096;

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
    inbound: BTreeMap<u64, (Protocol, InboundRequestId, exchange::ResponseChannel)>,
    inbound_numbers: u64,
    outbound: BTreeMap<(Protocol, OutboundRequestId), u64>,
    connections: BTreeMap<u64, ConnectionId>,
    connection_numbers: BTreeMap<ConnectionId, u64>,
    /// Addresses being dialled, by the connection that may come of it.
    pub(super) dials: BTreeMap<ConnectionId, String>,
    /// Peers being dialled, likewise.
    pub(super) dials_of_peers: BTreeMap<ConnectionId, Peer>,
    /// Dials that callers wait for.
    pub(super) asked: AskedDials,
    closing: VecDeque<(Instant, ConnectionId)>,
    /// Remote addresses of peers, for people.
    addresses: BTreeMap<PeerId, String>,
    next_connection: u64,
    pub(super) tracking: Tracking,
    pub(super) finding: Finding,
    /// Why incoming connections were denied, until the driver has counted them: after every event.
    denied: Vec<&'static str>,
    /// Frames that were not sent, because their peer does not read.
    unsent: BTreeMap<Channel, u64>,
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

    /// What an event of the swarm means to the logic.
    pub(super) fn translate(&mut self, event: SwarmEvent<BehaviourEvent>) -> Vec<Input> {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                if self.is_held_back(peer_id, connection_id, &endpoint) {
                    return Vec::new();
                }
                let remote = endpoint.get_remote_address();
                self.established(peer_id, connection_id, is_dialled(&endpoint), remote)
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                if num_established == 0 {
                    self.addresses.remove(&peer_id);
                }
                self.finding.disconnected(connection_id);
                if self.was_held_back(&peer_id, connection_id, num_established == 0) {
                    return Vec::new();
                }
                let number = self.connection_numbers.remove(&connection_id);
                let closed = number.zip(peer_of(&peer_id)).map(|(connection, peer)| {
                    self.connections.remove(&connection);
                    Input::Handshake(Command::ConnectionClosed { peer, connection })
                });
                let mut inputs: Vec<Input> = closed.into_iter().collect();
                // A connection that was held back may take its place.
                if !self.finding.is_told(&peer_id) {
                    inputs.extend(self.release(&peer_id));
                }
                inputs
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.asked.failed(&connection_id, &error);
                if let Some(peer) = self.dials_of_peers.remove(&connection_id) {
                    tracing::debug!(peer = text_of(&peer), %error, "dial failed");
                    return vec![Input::DialFailed(peer)];
                }
                if self.tracker_dial_failed(connection_id, &error) {
                    return Vec::new();
                }
                let address = self.dials.remove(&connection_id);
                if let Some(address) = &address {
                    tracing::debug!(address, %error, "dial failed");
                }
                address.map(|address| Input::Handshake(Command::DialFailed { address })).into_iter().collect()
            }
            SwarmEvent::IncomingConnectionError { error: ListenError::Denied { cause }, .. } => {
                self.denied.push(if cause.downcast::<TooManyOfBlock>().is_ok() {
                    "address-block"
                } else {
                    "limit"
                });
                Vec::new()
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.tell_listened(None);
                vec![self.own_addresses()]
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.tell_listened(Some(&address));
                vec![self.own_addresses()]
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                self.listener_closed(listener_id, reason.as_ref().copied());
                vec![self.own_addresses()]
            }
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                vec![self.own_addresses()]
            }
            SwarmEvent::Behaviour(event) => self.behaviour(event),
            _ => Vec::new(),
        }
    }

    pub(super) fn established(
        &mut self,
        id: PeerId,
        connection_id: ConnectionId,
        is_dialer: bool,
        remote: &Multiaddr,
    ) -> Vec<Input> {
        let Some(peer) = peer_of(&id) else { return Vec::new() };
        self.next_connection += 1;
        let connection = self.next_connection;
        self.connections.insert(connection, connection_id);
        self.connection_numbers.insert(connection_id, connection);
        self.addresses.insert(id, remote.to_string());
        self.finding.tell(id, connection_id);
        let direction = if is_dialer { Direction::Dialled } else { Direction::Accepted };
        let address = self.dials.remove(&connection_id);
        self.dials_of_peers.remove(&connection_id);
        let remote = Input::RemoteAddress { peer, address: remote.to_string() };
        let established = Command::ConnectionEstablished { peer, connection, direction, address };
        let asked_for = self.asked.succeeded(&connection_id, &id, peer);
        [remote, Input::Handshake(established)].into_iter().chain(asked_for).collect()
    }

    fn behaviour(&mut self, event: BehaviourEvent) -> Vec<Input> {
        match event {
            BehaviourEvent::Consensus(event) => channel_input(Channel::Consensus, event),
            BehaviourEvent::Transactions(event) => channel_input(Channel::Transactions, event),
            BehaviourEvent::Announcements(event) => announcement_input(event),
            BehaviourEvent::Handshake(event) => {
                // Whoever begins a handshake is a node, tracker or not.
                let begins = matches!(
                    &event,
                    exchange::Event::Message { message: request_response::Message::Request { .. }, .. }
                );
                let peer = begins.then(|| event_peer(&event));
                let mut inputs = peer.map_or_else(Vec::new, |peer| self.release(&peer));
                inputs.extend(self.exchange(Protocol::Handshake, event));
                inputs
            }
            BehaviourEvent::Rendezvous(event) => self.tracker_event(event),
            BehaviourEvent::Kademlia(event) => self.kademlia_event(event),
            BehaviourEvent::Mdns(event) => self.mdns_event(event),
            BehaviourEvent::Nat(event) => self.nat_event(event),
            BehaviourEvent::Sync(event) => self.exchange(Protocol::Sync, event),
            BehaviourEvent::Admission(event) => self.exchange(Protocol::Admission, event),
            BehaviourEvent::Peers(event) => self.exchange(Protocol::Peers, event),
            BehaviourEvent::Ping(event) => {
                self.give_up_if_silent(&event);
                Vec::new()
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.learn(peer_id, &info);
                if self.is_held_back_still(&peer_id) {
                    return self.identified(&peer_id, &info.protocols);
                }
                let is_foreign = self.is_of_another_network(&info.protocols);
                let peer = peer_of(&peer_id).filter(|_| is_foreign);
                peer.map(|peer| Input::Handshake(Command::OtherNetwork { peer })).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Closes a connection whose other end no longer answers, so that it is dialled anew, perhaps at another address.
    /// The system may keep such a connection for a quarter of an hour, and one that sends nothing for ever.
    fn give_up_if_silent(&mut self, ping: &ping::Event) {
        if let Err(error @ (ping::Failure::Timeout | ping::Failure::Other { .. })) = &ping.result {
            tracing::debug!(peer = %ping.peer, %error, "a connection is silent");
            self.swarm.close_connection(ping.connection);
        }
    }

    /// Whether a peer with these protocols makes the handshake of another network, and not of this one.
    fn is_of_another_network(&self, protocols: &[StreamProtocol]) -> bool {
        let is_handshake = |name: &&str| name.starts_with("/conclave/") && name.ends_with("/handshake/1");
        let mut handshakes = protocols.iter().map(StreamProtocol::as_ref).filter(is_handshake).peekable();
        handshakes.peek().is_some() && handshakes.all(|name| name != self.handshake)
    }

    fn exchange(&mut self, protocol: Protocol, event: exchange::Event) -> Vec<Input> {
        use request_response::{Event, Message};
        let input = match event {
            Event::Message { peer, message: Message::Request { request_id, request, channel }, .. } => {
                if self.inbound.len() >= MAX_UNANSWERED {
                    return Vec::new();
                }
                self.inbound_numbers += 1;
                let number = self.inbound_numbers;
                self.inbound.insert(number, (protocol, request_id, channel));
                peer_of(&peer).map(|peer| Input::Request { peer, protocol, number, bytes: request })
            }
            Event::Message { peer, message: Message::Response { request_id, response }, .. } => {
                let number = self.outbound.remove(&(protocol, request_id));
                let answered = number.zip(peer_of(&peer));
                answered.map(|(number, peer)| Input::Response { peer, protocol, number, bytes: response })
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, ?protocol, "a request failed");
                let number = self.outbound.remove(&(protocol, request_id));
                let failed = number.zip(peer_of(&peer));
                failed.map(|(number, peer)| match (protocol, error) {
                    (Protocol::Handshake, OutboundFailure::UnsupportedProtocols) => {
                        Input::Handshake(Command::Unsupported { peer, number })
                    }
                    _ => Input::RequestFailed { peer, protocol, number },
                })
            }
            Event::InboundFailure { request_id, .. } => {
                // Each protocol counts its requests by itself.
                self.inbound.retain(|_, (of, id, _)| (*of, *id) != (protocol, request_id));
                None
            }
            Event::ResponseSent { .. } => None,
        };
        input.into_iter().collect()
    }

    /// Carries out what concerns the network; anything else is none of its business.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Vec<Input> {
        match effect {
            Effect::Dial(address) => return self.dial(address),
            Effect::DialPeer { peer, addresses } => return self.dial_peer(peer, &addresses),
            Effect::CloseConnection { peer, connection, reason, at_once } => {
                tracing::debug!(peer = text_of(&peer), reason, "closing a connection");
                if let Some(id) = self.connections.get(&connection).copied() {
                    if at_once {
                        self.swarm.close_connection(id);
                    } else {
                        self.closing.push_back((Instant::now() + CLOSING_GRACE, id));
                    }
                }
            }
            Effect::OpenChannels(peer) => {
                id_of(&peer).into_iter().for_each(|id| self.swarm.behaviour_mut().open_channels(id));
            }
            Effect::OpenAnnouncements(peer) => {
                id_of(&peer).into_iter().for_each(|id| self.swarm.behaviour_mut().open_announcements(id));
            }
            Effect::CloseChannels(peer) => {
                id_of(&peer).into_iter().for_each(|id| self.swarm.behaviour_mut().close_channels(id));
            }
            Effect::Send { peer, channel, bulk, bytes } => self.send(&peer, channel, bulk, bytes),
            Effect::Request { peer, protocol, number, bytes } => {
                if let Some(id) = id_of(&peer) {
                    let request = self.exchange_of(protocol).send_request(&id, bytes);
                    self.outbound.insert((protocol, request), number);
                }
            }
            // Without its channel the request fails at the peer at once.
            Effect::Ignore { number } => drop(self.inbound.remove(&number)),
            Effect::Respond { protocol, number, bytes, .. } => {
                if let Some((_, _, channel)) = self.inbound.remove(&number) {
                    // The peer may have gone meanwhile.
                    let _ = self.exchange_of(protocol).send_response(channel, bytes);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    /// Publishes an announcement.
    pub(super) fn publish(
        &mut self,
        data_type: u16,
        per_origin: bool,
        bytes: &[u8],
    ) -> Result<(), announcements::NotPublished> {
        self.swarm.behaviour_mut().announcements.publish(data_type, bytes, per_origin)
    }

    /// Subscriptions of peers, each peer and topic counted.
    pub(super) fn subscriptions(&self) -> usize {
        self.swarm.behaviour().announcements.subscriptions()
    }

    /// Carries out what concerns gossipsub; anything else is none of its business.
    pub(super) fn announcements(&mut self, event: &Event) {
        let gossipsub = &mut self.swarm.behaviour_mut().announcements;
        match event {
            Event::Subscribe(data_type) => gossipsub.subscribe(*data_type),
            Event::Unsubscribe(data_type) => gossipsub.unsubscribe(*data_type),
            Event::Verdict { id, peer, verdict } => {
                let acceptance = match verdict {
                    Verdict::Forward => announcements::Acceptance::Forward,
                    Verdict::Drop => announcements::Acceptance::Drop,
                    Verdict::Reject => announcements::Acceptance::Reject,
                };
                if let Some(peer) = id_of(peer) {
                    gossipsub.answer(id.0, peer, acceptance);
                }
            }
            _ => {}
        }
    }

    fn exchange_of(&mut self, protocol: Protocol) -> &mut exchange::Behaviour {
        let behaviour = self.swarm.behaviour_mut();
        match protocol {
            Protocol::Handshake => &mut behaviour.handshake,
            Protocol::Sync => &mut behaviour.sync,
            Protocol::Admission => &mut behaviour.admission,
            Protocol::Peers => &mut behaviour.peers,
        }
    }

    fn send(&mut self, peer: &Peer, channel: Channel, bulk: bool, bytes: std::sync::Arc<[u8]>) {
        let Some(id) = id_of(peer) else { return };
        let behaviour = self.swarm.behaviour_mut();
        let sent = match channel {
            Channel::Consensus => behaviour.consensus.send(id, bytes, bulk),
            Channel::Transactions => behaviour.transactions.send(id, bytes, bulk),
        };
        if let Err(error) = sent {
            let is_full = matches!(error, channel::SendError::QueueFull(_));
            *self.unsent.entry(channel).or_default() += u64::from(is_full);
            tracing::debug!(peer = %id, ?channel, %error, "a frame is not sent");
        }
    }

    fn dial(&mut self, address: String) -> Vec<Input> {
        let failed = |address| vec![Input::Handshake(Command::DialFailed { address })];
        let Ok(multiaddr) = address.parse::<Multiaddr>() else { return failed(address) };
        let options = DialOpts::from(multiaddr);
        self.dials.insert(options.connection_id(), address);
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => Vec::new(),
            Err(error) => {
                if !matches!(error, DialError::DialPeerConditionFalse(_)) {
                    tracing::debug!(%error, "cannot dial");
                }
                self.dials.remove(&connection).map_or_else(Vec::new, failed)
            }
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

    fn dial_peer(&mut self, peer: Peer, addresses: &[String]) -> Vec<Input> {
        let failed = || vec![Input::DialFailed(peer)];
        let Some(id) = id_of(&peer) else { return failed() };
        let addresses: Vec<Multiaddr> = addresses.iter().filter_map(|address| address.parse().ok()).collect();
        if addresses.is_empty() {
            return failed();
        }
        let condition = PeerCondition::DisconnectedAndNotDialing;
        let options = DialOpts::peer_id(id).condition(condition).addresses(addresses).build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials_of_peers.insert(connection, peer)),
            // It is there already, or on its way: the handshake hears of it.
            Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => {
                tracing::debug!(peer = %id, %error, "cannot dial");
                return failed();
            }
        }
        Vec::new()
    }

    /// Where others reach this node: what it listens on, and what others have confirmed. Loopback counts only where
    /// there is nothing else.
    fn own_addresses(&self) -> Input {
        Input::OwnAddresses(self.addresses_to_tell().iter().map(Multiaddr::to_vec).collect())
    }

    /// When [`Network::close_due`] wants to be called.
    pub(super) fn next_closing(&self) -> Option<Instant> {
        self.closing.front().map(|(at, _)| *at)
    }

    /// Closes what was given a moment.
    pub(super) fn close_due(&mut self) {
        let now = Instant::now();
        while let Some((_, id)) = self.closing.pop_front_if(|(at, _)| *at <= now) {
            self.swarm.close_connection(id);
        }
    }
}

/// Whose event of an exchange it is.
fn event_peer(event: &exchange::Event) -> PeerId {
    use request_response::Event;
    let (Event::Message { peer, .. }
    | Event::OutboundFailure { peer, .. }
    | Event::InboundFailure { peer, .. }
    | Event::ResponseSent { peer, .. }) = event;
    *peer
}

fn channel_input(channel: Channel, event: channel::Event) -> Vec<Input> {
    let input = match event {
        channel::Event::Opened { peer } => peer_of(&peer).map(|peer| Input::ChannelOpened(peer, channel)),
        channel::Event::Closed { peer } => peer_of(&peer).map(|peer| Input::ChannelClosed(peer, channel)),
        channel::Event::Received { peer, frame } => {
            peer_of(&peer).map(|peer| Input::Frame(peer, channel, frame))
        }
        channel::Event::Early { peer } => peer_of(&peer).map(|peer| Input::ChannelEarly(peer, channel)),
        channel::Event::Malformed { peer, error } => {
            let what = format!("a malformed frame on the {channel:?} channel: {error}");
            peer_of(&peer).map(|peer| Input::Malformed(peer, what))
        }
    };
    input.into_iter().collect()
}

fn announcement_input(event: announcements::Event) -> Vec<Input> {
    let input = match event {
        announcements::Event::Copy { peer, id, bytes } => {
            let message = Message::Copy { id: Hash(id), bytes };
            peer_of(&peer).map(|peer| Input::Announcement(peer, message))
        }
        announcements::Event::First { peer, origin, id, data_type, per_author, data } => {
            peer_of(&peer).zip(peer_of(&origin)).map(|(peer, origin)| {
                Input::Announcement(
                    peer,
                    Message::First { id: Hash(id), origin, data_type, per_origin: per_author, bytes: data },
                )
            })
        }
    };
    input.into_iter().collect()
}

/// The moment of the machines' clock at `instant`.
pub(super) fn time_at(start: Instant, instant: Instant) -> Time {
    Time::after_start(instant.saturating_duration_since(start))
}
