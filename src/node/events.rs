//! What an event of the swarm means to the logic.

use super::network::{MAX_UNANSWERED, Network, is_dialled, peer_of, text_of};
use conclave_behaviours::{BehaviourEvent, address_blocks::TooManyOfBlock, announcements, channel, exchange};
use conclave_ledger::hash::Hash;
use conclave_protocol::{
    announcements::Message,
    handshake::{Command, Direction},
    node::{Channel, Input, Protocol},
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, identify, ping,
    request_response::{self, OutboundFailure},
    swarm::{ConnectionId, ListenError, SwarmEvent},
};

impl Network {
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
