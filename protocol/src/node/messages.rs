//! Bytes to messages and back. What does not decode is blamed on the peer that sent it.

use super::{Channel, Clock, Effect, Node, Protocol};
use crate::{
    admission, consensus, dissemination, exchange, handshake,
    machine::{Input, Machine},
    peer::Peer,
    peer_exchange,
    penalty::Penalty,
    sync,
};
use conclave_ledger::codec;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

impl Node {
    /// Whether a peer may send anything but the handshake.
    fn takes_part(&self, peer: &Peer) -> bool {
        self.peers.contains_key(peer)
    }

    fn decode<T: Serialize + DeserializeOwned>(
        &mut self,
        peer: Peer,
        bytes: &[u8],
        limit: usize,
        what: &str,
        clock: Clock,
    ) -> Option<T> {
        match codec::decode(bytes, limit) {
            Ok(message) => Some(message),
            Err(error) => {
                self.penalize(peer, Penalty::fatal(format!("a {what} message that is none: {error}")), clock);
                None
            }
        }
    }

    pub(super) fn receive_frame(&mut self, peer: Peer, channel: Channel, bytes: &[u8], clock: Clock) {
        if !self.takes_part(&peer) {
            return self.penalize(peer, Penalty::serious("a message before its handshake was done"), clock);
        }
        match channel {
            Channel::Consensus => {
                let limit = self.consensus_frame_limit();
                let message = self.decode::<consensus::Message>(peer, bytes, limit, "consensus", clock);
                if let Some(message) = &message {
                    self.spoke_of(peer, message.decided_height());
                }
                if let Some(consensus::Message::Decided { height, proofs }) = message {
                    self.sync_command(sync::Command::Told { peer, height, proofs }, clock);
                }
                if let (Some(message), Some(consensus)) = (message, &mut self.consensus) {
                    consensus.handle(Input::Received(peer, message), clock.time);
                }
            }
            Channel::Transactions => {
                let limit = dissemination::MAX_MESSAGE_BYTES;
                if let Some(message) = self.decode(peer, bytes, limit, "transactions", clock) {
                    self.dissemination.handle(Input::Received(peer, message), clock.time);
                }
            }
        }
    }

    /// The largest consensus message: a block of this network.
    pub fn consensus_frame_limit(&self) -> usize {
        self.chain.genesis().limits.body_bytes as usize
            + consensus::MAX_BLOCK_OVERHEAD_BYTES.max(consensus::MAX_SMALL_MESSAGE_BYTES)
    }

    pub(super) fn receive_request(
        &mut self,
        peer: Peer,
        protocol: Protocol,
        number: u64,
        bytes: &[u8],
        clock: Clock,
    ) {
        match protocol {
            Protocol::Handshake => {
                let limit = handshake::MAX_MESSAGE_BYTES;
                match self.decode(peer, bytes, limit, "handshake", clock) {
                    Some(request) => {
                        let message = handshake::Message::Request { number, request };
                        self.handshake.handle(Input::Received(peer, message), clock.time);
                    }
                    None => self.effects.push_back(Effect::Ignore { number }),
                }
            }
            // A challenge may overtake the end of the handshake.
            Protocol::Admission => {
                let limit = admission::MAX_MESSAGE_BYTES;
                match self.decode(peer, bytes, limit, "admission", clock) {
                    Some(request) => {
                        let message = admission::Message::Request { number, request };
                        self.meeting.admission.handle(Input::Received(peer, message), clock.time);
                    }
                    None => self.effects.push_back(Effect::Ignore { number }),
                }
            }
            Protocol::Sync | Protocol::Peers if !self.takes_part(&peer) => {
                self.effects.push_back(Effect::Ignore { number });
                self.penalize(peer, Penalty::serious("a request before its handshake was done"), clock);
            }
            Protocol::Sync => match self.decode(peer, bytes, sync::MAX_REQUEST_BYTES, "sync", clock) {
                Some(request) => {
                    if let sync::Request::Status { height, .. } = request {
                        self.spoke_of(peer, height);
                    }
                    let message = sync::Message::Request { number, request };
                    self.sync.handle(Input::Received(peer, message), clock.time);
                }
                None => self.effects.push_back(Effect::Ignore { number }),
            },
            Protocol::Peers => {
                let limit = peer_exchange::MAX_REQUEST_BYTES;
                match self.decode(peer, bytes, limit, "peers", clock) {
                    Some(request) => {
                        let message = peer_exchange::Message::Request { number, request };
                        self.meeting.exchange.handle(Input::Received(peer, message), clock.time);
                    }
                    None => self.effects.push_back(Effect::Ignore { number }),
                }
            }
        }
    }

    pub(super) fn receive_response(
        &mut self,
        peer: Peer,
        protocol: Protocol,
        number: u64,
        bytes: &[u8],
        clock: Clock,
    ) {
        match protocol {
            Protocol::Handshake => {
                let limit = handshake::MAX_MESSAGE_BYTES;
                if let Some(response) = self.decode(peer, bytes, limit, "handshake", clock) {
                    let message = handshake::Message::Response { number, response };
                    self.handshake.handle(Input::Received(peer, message), clock.time);
                }
            }
            Protocol::Sync => match self.decode(peer, bytes, sync::MAX_RESPONSE_BYTES, "sync", clock) {
                Some(response) => {
                    if let sync::Response::Status { height, .. } = response {
                        self.spoke_of(peer, height);
                    }
                    let message = sync::Message::Response { number, response };
                    self.sync.handle(Input::Received(peer, message), clock.time);
                }
                None => self.request_failed(peer, protocol, number, clock),
            },
            Protocol::Admission => {
                let limit = admission::MAX_MESSAGE_BYTES;
                if let Some(response) = self.decode(peer, bytes, limit, "admission", clock) {
                    let message = admission::Message::Response { number, response };
                    self.meeting.admission.handle(Input::Received(peer, message), clock.time);
                }
            }
            Protocol::Peers => {
                let limit = peer_exchange::MAX_RESPONSE_BYTES;
                match self.decode(peer, bytes, limit, "peers", clock) {
                    Some(response) => {
                        let message = peer_exchange::Message::Response { number, response };
                        self.meeting.exchange.handle(Input::Received(peer, message), clock.time);
                    }
                    None => self.request_failed(peer, protocol, number, clock),
                }
            }
        }
    }

    pub(super) fn request_failed(&mut self, peer: Peer, protocol: Protocol, number: u64, clock: Clock) {
        match protocol {
            Protocol::Handshake => {
                let command = handshake::Command::RequestFailed { peer, number };
                self.handshake.handle(Input::Command(command), clock.time);
            }
            Protocol::Sync => self.sync_command(sync::Command::RequestFailed { peer, number }, clock),
            Protocol::Admission => {
                let command = admission::Command::RequestFailed { peer, number };
                self.meeting.admission.handle(Input::Command(command), clock.time);
            }
            Protocol::Peers => {
                let command = peer_exchange::Command::RequestFailed { peer, number };
                self.meeting.exchange.handle(Input::Command(command), clock.time);
            }
        }
    }

    /// The bytes of a consensus message; a message that goes to several peers is encoded once.
    pub(super) fn encode_once(&mut self, message: consensus::Message) -> Arc<[u8]> {
        if let Some((last, bytes)) = &self.encoded
            && *last == message
        {
            return bytes.clone();
        }
        let bytes: Arc<[u8]> = codec::encode(&message).into();
        self.encoded = Some((message, bytes.clone()));
        bytes
    }

    pub(super) fn send_exchange<Q: Serialize, A: Serialize>(
        &mut self,
        peer: Peer,
        protocol: Protocol,
        message: &exchange::Message<Q, A>,
    ) {
        self.effects.push_back(match message {
            exchange::Message::Request { number, request } => {
                Effect::Request { peer, protocol, number: *number, bytes: codec::encode(request) }
            }
            exchange::Message::Response { number, response } => {
                Effect::Respond { peer, protocol, number: *number, bytes: codec::encode(response) }
            }
        });
    }
}
