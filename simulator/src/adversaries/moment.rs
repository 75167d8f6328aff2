//! What an adversary has at hand whenever it is asked.

use super::Coalition;
use conclave_ledger::{
    codec,
    keys::{PublicKey, SecretKey},
    signed::{Height, Kind, SignatureSet, Value},
    validators::{ValidatorIndex, ValidatorSet},
};
use conclave_protocol::{
    consensus::Message,
    dissemination,
    node::{Channel, Clock, Effect, Input, Node},
    peer::Peer,
    time::Time,
};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::{sync::Arc, time::Duration};

/// What an adversary has at hand whenever it is asked.
pub struct Moment<'a> {
    /// Its node's clocks.
    pub clock: Clock,
    /// Its node, which keeps the rules.
    pub node: &'a Node,
    /// Its validator key.
    pub key: &'a SecretKey,
    /// What all members know.
    pub coalition: &'a mut Coalition,
    /// Its randomness.
    pub random: &'a mut ChaCha20Rng,
}

impl Moment<'_> {
    /// The validators among the peers, by the key that each has proved.
    pub fn validators(&self) -> Vec<(Peer, PublicKey)> {
        let proved = self.node.peers().iter();
        proved.filter_map(|(peer, role)| role.validator().map(|key| (*peer, key))).collect()
    }

    /// Those of them that are no members of the coalition, and decide at the present height.
    pub(super) fn victims(&self) -> Vec<Peer> {
        let set = self.set();
        let is_victim = |key: &PublicKey| !self.coalition.is_member(key) && set.index_of(key).is_some();
        self.validators().into_iter().filter(|(_, key)| is_victim(key)).map(|(peer, _)| peer).collect()
    }

    pub(super) fn now(&self) -> Time {
        self.clock.time
    }

    /// Δ.
    pub(super) fn delta(&self) -> Duration {
        Duration::from_millis(self.node.chain().genesis().delta_ms)
    }

    /// The height that its node decides now.
    pub(super) fn height(&self) -> Height {
        self.node.chain().next_height()
    }

    /// The validators of that height.
    pub(super) fn set(&self) -> Arc<ValidatorSet> {
        self.node.chain().validators().clone()
    }

    /// Its own place among them.
    pub(super) fn index(&self) -> Option<ValidatorIndex> {
        self.node.chain().validators().index_of(&self.key.public())
    }

    /// Its own signature, as a set; empty where it does not decide.
    pub(super) fn sign(&self, height: Height, kind: Kind, value: Value) -> SignatureSet {
        let me = self.key.public();
        let signed = self.index().zip(self.coalition.sign(&me, height, kind, value));
        signed.into_iter().collect()
    }

    // --- Chance ----------------------------------------------------------------------------------------------

    /// A number below `bound`; 0 if the bound is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.random.next_u64() % (bound as u64).max(1)) as usize
    }

    /// True once in `times`.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A part of `most`.
    pub(super) fn part_of(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.random.next_u64() % (most.as_micros() as u64).max(1))
    }

    /// One of `items`.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.below(items.len())).copied()
    }

    /// `items` in an order of chance.
    pub(super) fn shuffled<T>(&mut self, mut items: Vec<T>) -> Vec<T> {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
        items
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    // --- Frames ----------------------------------------------------------------------------------------------

    /// The consensus message that an effect sends, and to whom.
    pub(super) fn sends(&self, effect: &Effect) -> Option<(Peer, Message)> {
        match effect {
            Effect::Send { peer, channel: Channel::Consensus, bytes, .. } => {
                Some((*peer, codec::decode(bytes, self.node.consensus_frame_limit()).ok()?))
            }
            _ => None,
        }
    }

    /// The consensus message that an input brings, and from whom.
    pub(super) fn hears(&self, input: &Input) -> Option<(Peer, Message)> {
        match input {
            Input::Frame(peer, Channel::Consensus, bytes) => {
                Some((*peer, codec::decode(bytes, self.node.consensus_frame_limit()).ok()?))
            }
            _ => None,
        }
    }

    /// Remembers what somebody who is no member shows; what members say among themselves may be made up.
    pub(super) fn learn(&mut self, input: &Input) -> Option<(Peer, Message)> {
        let (peer, message) = self.hears(input)?;
        let key = self.node.peers().get(&peer)?.validator()?;
        if !self.coalition.is_member(&key) {
            self.coalition.learn(&message);
        }
        Some((peer, message))
    }
}

/// A consensus message as the effect that sends it.
pub(super) fn consensus(peer: Peer, message: &Message) -> Effect {
    let bulk = matches!(message, Message::Block(_));
    Effect::Send { peer, channel: Channel::Consensus, bulk, bytes: codec::encode(message).into() }
}

/// A message about transactions as the effect that sends it.
pub(super) fn transactions(peer: Peer, message: &dissemination::Message) -> Effect {
    let bytes = codec::encode(message).into();
    Effect::Send { peer, channel: Channel::Transactions, bulk: false, bytes }
}
