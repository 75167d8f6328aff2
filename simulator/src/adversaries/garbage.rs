//! Garbage: bytes that are no message, on every channel and in every request and answer.
//!
//! Random ones, messages cut short or with something behind their end, numbers in a longer form than the canonical one, and
//! frames as large as a frame may be. Whoever sends them is disconnected, so they come in bursts, each
//! [`INTERVAL`] to whoever is connected by then, [`MAX_BURSTS`] of them in a life.

use super::{Adversary, Moment, bursts::Bursts};
use conclave_protocol::{
    node::{Channel, Effect, Protocol},
    peer::Peer,
    time::Time,
};
use std::time::Duration;

/// Time between two bursts.
const INTERVAL: Duration = Duration::from_millis(500);

/// Bursts in a life.
const MAX_BURSTS: u32 = 256;

/// Largest frame of a burst, in bytes.
const LARGE: usize = 1 << 20;

/// Numbers of requests that no node of this program gives; their answers find nobody who asked.
const REQUESTS_FROM: u64 = 1 << 62;

/// Protocols over which it asks.
const PROTOCOLS: [Protocol; 4] = [Protocol::Handshake, Protocol::Sync, Protocol::Admission, Protocol::Peers];

/// See the module.
pub(super) struct Garbage {
    bursts: Bursts,
    requests: u64,
}

impl Default for Garbage {
    fn default() -> Self {
        Self { bursts: Bursts::new(MAX_BURSTS, INTERVAL), requests: 0 }
    }
}

/// What might have been a message.
fn spoil(message: &[u8], at: &mut Moment<'_>) -> Vec<u8> {
    match at.below(5) {
        0 => {
            let length = at.below(256);
            at.bytes(length)
        }
        1 => message[..at.below(message.len())].to_vec(),
        2 => [message, &[0]].concat(),
        // The head of a CBOR map of one entry in the form with a byte for its length.
        3 => match message.split_first() {
            Some((head, rest)) if (0xa0..=0xb7).contains(head) => [&[0xb8, head & 0x1f], rest].concat(),
            _ => vec![0xff],
        },
        _ => {
            let mut spoiled = message.to_vec();
            let place = at.below(spoiled.len());
            spoiled.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 0x80);
            spoiled
        }
    }
}

impl Garbage {
    fn send(&mut self, peer: Peer, at: &mut Moment<'_>) -> Effect {
        let bytes = if at.one_in(8) {
            vec![0; LARGE]
        } else {
            let length = at.below(2048);
            at.bytes(length)
        };
        match at.below(6) {
            kind @ (0 | 1) => {
                let channel = if kind == 0 { Channel::Consensus } else { Channel::Transactions };
                Effect::Send { peer, channel, bulk: at.one_in(2), bytes: bytes.into() }
            }
            kind => {
                self.requests += 1;
                let number = REQUESTS_FROM + self.requests;
                let bytes = bytes.into_iter().take(4096).collect();
                Effect::Request { peer, protocol: PROTOCOLS[kind - 2], number, bytes }
            }
        }
    }
}

impl Adversary for Garbage {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        self.bursts.begin(at);
        // Some of what it says is good, so that it finds peers at all.
        if !at.one_in(4) {
            return vec![effect];
        }
        vec![match effect {
            Effect::Send { peer, channel, bulk, bytes } => {
                Effect::Send { peer, channel, bulk, bytes: spoil(&bytes, at).into() }
            }
            Effect::Respond { peer, protocol, number, bytes } if protocol != Protocol::Handshake => {
                Effect::Respond { peer, protocol, number, bytes: spoil(&bytes, at) }
            }
            Effect::Request { peer, protocol, number, bytes } if protocol != Protocol::Handshake => {
                Effect::Request { peer, protocol, number, bytes: spoil(&bytes, at) }
            }
            other => other,
        }]
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.bursts.next()
    }

    fn handle_timeout(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        if !self.bursts.take(at.now()) {
            return Vec::new();
        }
        let peers: Vec<Peer> = at.node.peers().keys().copied().collect();
        peers.into_iter().map(|peer| self.send(peer, at)).collect()
    }
}
