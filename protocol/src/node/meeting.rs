//! Meeting strangers: what the finders find, and when they are asked for more.

use super::{Clock, Effect, Node};
use crate::{
    handshake,
    known_peers::{MAX_ADDRESS_BYTES, Source},
    machine::{Input, Machine},
    peer::Peer,
};

/// Most peers that were found and are dialled.
const MAX_FOUND: usize = 256;

/// Most addresses that are tried of one peer.
const MAX_ADDRESSES_OF_ONE: usize = 4;

impl Node {
    /// A finder found a peer: it is dialled, within bounds.
    pub(super) fn found(&mut self, peer: Peer, addresses: Vec<String>, source: Source, clock: Clock) {
        let is_new = !self.found.contains_key(&peer);
        if peer == self.config.peer || is_new && self.found.len() >= MAX_FOUND {
            return;
        }
        self.found.entry(peer).or_default().insert(source);
        let addresses = addresses.into_iter().filter(|address| address.len() <= MAX_ADDRESS_BYTES);
        for address in addresses.take(MAX_ADDRESSES_OF_ONE) {
            let command = handshake::Command::AddAddress { peer: Some(peer), address };
            self.handshake.handle(Input::Command(command), clock.time);
        }
    }

    /// Asks every finder for more peers.
    pub(super) fn ask_for_peers(&mut self) {
        self.effects.push_back(Effect::AskTrackers);
    }
}
