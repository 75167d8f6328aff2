//! What the logic wants of the swarm: dials, frames, requests, announcements, and connections closed.

use super::network::{Network, id_of, text_of};
use conclave_behaviours::{announcements, channel};
use conclave_protocol::{
    announcements::{Event, Verdict},
    handshake::Command,
    node::{Channel, Effect, Input},
    peer::Peer,
};
use libp2p::{
    Multiaddr,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use std::time::{Duration, Instant};

/// How long a connection that is refused stays open for the answer to get there.
const CLOSING_GRACE: Duration = Duration::from_millis(100);

impl Network {
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
