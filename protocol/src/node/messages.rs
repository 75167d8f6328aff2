//! Bytes to messages and back. What does not decode is blamed on the peer that sent it.

use super::{Block, Channel, Clock, Effect, Node, Protocol};
use crate::{
    admission, consensus, dissemination, exchange, handshake,
    machine::{Input, Machine},
    mining,
    peer::Peer,
    peer_exchange,
    penalty::Penalty,
    sync,
};
use conclave_ledger::codec;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// Encodes messages. One that goes to several peers, one after the other, is encoded once, and they share its bytes.
pub(super) struct Encoder<M>(Option<(M, Arc<[u8]>)>);

impl<M: Serialize + PartialEq> Encoder<M> {
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// The canonical bytes of `message`.
    pub(super) fn encode(&mut self, message: M) -> Arc<[u8]> {
        if let Some((last, bytes)) = &self.0
            && *last == message
        {
            return bytes.clone();
        }
        let bytes: Arc<[u8]> = codec::encode(&message).into();
        self.0 = Some((message, bytes.clone()));
        bytes
    }
}

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
            Channel::Consensus if self.mining.is_some() => {
                let limit = mining::MAX_COMPACT_BYTES;
                if let Some(compact) = self.decode(peer, bytes, limit, "block announcement", clock) {
                    self.announced_block(peer, compact, clock);
                }
            }
            Channel::Consensus => {
                let limit = self.consensus_frame_limit();
                let message = self.decode::<consensus::Message>(peer, bytes, limit, "consensus", clock);
                let message = message.filter(|message| match message {
                    consensus::Message::Block(block) => self.takes_whole(peer, block, clock),
                    _ => true,
                });
                if let Some(message) = &message {
                    self.spoke_of(peer, message.decided_height());
                }
                if let Some(consensus::Message::Decided { height, proofs }) = message {
                    self.sync_command(sync::Command::Told { peer, height, proofs }, clock);
                }
                let message = message.map(|message| self.share_transactions(message));
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

    /// A block that holds the pool's own transactions where they are the same, instead of copies of them.
    fn share_transactions(&self, message: consensus::Message) -> consensus::Message {
        let consensus::Message::Block(mut block) = message else { return message };
        for transaction in &mut Arc::make_mut(&mut block).transactions {
            if let Some(waiting) = self.pool.get(&transaction.id()).filter(|waiting| *waiting == transaction)
            {
                *transaction = waiting.clone();
            }
        }
        consensus::Message::Block(block)
    }

    /// Whether a block's body is the one that its header binds. One that is not must never get as far as a machine: under
    /// the good block's hash it would take that block's place, and be found invalid here and nowhere else.
    fn takes_whole(&mut self, peer: Peer, block: &Block, clock: Clock) -> bool {
        let is_whole = block.is_whole();
        if !is_whole {
            self.penalize(peer, Penalty::fatal("a block whose body is not that of its header"), clock);
        }
        is_whole
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
                // A peer that is done a moment earlier may ask at once.
                if !self.handshake.is_nearly_done(&peer) {
                    self.penalize(peer, Penalty::serious("a request before its handshake was done"), clock);
                }
            }
            Protocol::Sync if self.mining.is_some() => {
                match self.decode(peer, bytes, mining::MAX_REQUEST_BYTES, "sync", clock) {
                    Some(request) => {
                        let message = mining::Message::Request { number, request };
                        self.mining_input(Input::Received(peer, message), clock);
                    }
                    None => self.effects.push_back(Effect::Ignore { number }),
                }
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
            Protocol::Sync if self.mining.is_some() => {
                match self.decode(peer, bytes, mining::MAX_RESPONSE_BYTES, "sync", clock) {
                    Some(response) => self.mining_response(peer, number, response, clock),
                    None => self.request_failed(peer, protocol, number, clock),
                }
            }
            Protocol::Sync => match self.decode(peer, bytes, sync::MAX_RESPONSE_BYTES, "sync", clock) {
                Some(response) => {
                    if let sync::Response::Status { height, .. } = response {
                        self.spoke_of(peer, height);
                    }
                    if let sync::Response::Block(Some(block)) = &response
                        && !self.takes_whole(peer, block, clock)
                    {
                        return self.request_failed(peer, protocol, number, clock);
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
            Protocol::Sync if self.mining.is_some() => {
                self.mining_command(mining::Command::RequestFailed { peer, number }, clock);
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
