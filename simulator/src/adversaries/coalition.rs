//! What the adversaries of one network share: their keys, and everything signed that any of them has seen.

use conclave_ledger::{
    block::Block,
    hash::{BlockHash, NetworkId},
    keys::{PublicKey, SecretKey, Signature},
    signed::{Height, Kind, SignatureSet, Slot, Value},
    validators::{ValidatorIndex, ValidatorSet},
};
use conclave_protocol::consensus::Message;
use std::{collections::BTreeMap, sync::Arc};

/// Heights of which something is remembered; the lowest is forgotten first.
pub const MAX_KNOWN_HEIGHTS: usize = 16;

/// Blocks remembered of one height.
pub const MAX_KNOWN_BLOCKS: usize = 8;

/// What is known of one height.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Its leader, once a member has made a plan for it.
    pub leader: Option<PublicKey>,
    /// Blocks of which somebody has the body.
    pub blocks: BTreeMap<BlockHash, Arc<Block>>,
    /// Signatures of all validators, members or not. Bounded by what a validator signs in a height, and by the blocks
    /// that are remembered.
    pub signatures: BTreeMap<(Kind, Value), SignatureSet>,
}

impl Knowledge {
    /// The signatures of a kind on a value.
    pub fn set(&self, kind: Kind, value: Value) -> SignatureSet {
        self.signatures.get(&(kind, value)).cloned().unwrap_or_default()
    }

    fn merge(&mut self, kind: Kind, value: Value, set: &SignatureSet) {
        let known_values = self.signatures.keys().filter(|(of, _)| *of == kind).count();
        if self.signatures.contains_key(&(kind, value)) || known_values <= MAX_KNOWN_BLOCKS {
            let known = self.signatures.entry((kind, value)).or_default();
            set.iter().for_each(|(signer, signature)| known.insert(signer, *signature));
        }
    }
}

/// The shared memory of those who misbehave together.
#[derive(Clone, Debug)]
pub struct Coalition {
    network: NetworkId,
    keys: BTreeMap<PublicKey, SecretKey>,
    heights: BTreeMap<Height, Knowledge>,
}

impl Coalition {
    /// A coalition of those who hold these keys.
    pub fn new(network: NetworkId, keys: impl IntoIterator<Item = SecretKey>) -> Self {
        let keys = keys.into_iter().map(|key| (key.public(), key)).collect();
        Self { network, keys, heights: BTreeMap::new() }
    }

    /// Whether the holder of this key is a member.
    pub fn is_member(&self, key: &PublicKey) -> bool {
        self.keys.contains_key(key)
    }

    /// The members' keys.
    pub fn keys(&self) -> impl Iterator<Item = &SecretKey> {
        self.keys.values()
    }

    /// What is known of a height.
    pub fn height(&mut self, height: Height) -> &mut Knowledge {
        if !self.heights.contains_key(&height) && self.heights.len() >= MAX_KNOWN_HEIGHTS {
            self.heights.pop_first();
        }
        self.heights.entry(height).or_default()
    }

    /// The leader of a height, once a member has made a plan for it.
    pub fn leader_of(&mut self, height: Height) -> Option<PublicKey> {
        self.height(height).leader
    }

    /// Remembers a block that a member has made.
    pub fn propose(&mut self, block: Arc<Block>) {
        self.learn(&Message::Block(block));
    }

    /// Remembers everything that a message shows.
    pub fn learn(&mut self, message: &Message) {
        let known = self.height(message.height());
        match message {
            Message::Block(block) => {
                if known.blocks.len() < MAX_KNOWN_BLOCKS {
                    known.blocks.entry(block.hash()).or_insert_with(|| block.clone());
                }
            }
            Message::Chain { block, votes, endorsements, .. } => {
                known.merge(Kind::Vote, Value::Block(*block), votes);
                known.merge(Kind::Endorse, Value::Block(*block), endorsements);
            }
            Message::Skip { votes, .. } => known.merge(Kind::Vote, Value::Skip, votes),
            Message::Certificate { value, votes, relays, .. } => {
                known.merge(Kind::Vote, *value, votes);
                known.merge(Kind::RelayCertificate, *value, relays);
            }
            Message::Support { block, votes, relays, .. } => {
                known.merge(Kind::Vote, Value::Block(*block), votes);
                known.merge(Kind::RelaySupport, Value::Block(*block), relays);
            }
            Message::Settle { value, settles, .. } => known.merge(Kind::Settle, *value, settles),
            Message::Commit { value, commits, .. } => known.merge(Kind::Commit, *value, commits),
            Message::Closing { .. } | Message::Decided { .. } => {}
        }
    }

    /// A member's signature, which it may never have been meant to give.
    pub fn sign(&self, member: &PublicKey, height: Height, kind: Kind, value: Value) -> Option<Signature> {
        let slot = Slot { network: self.network, height };
        self.keys.get(member).map(|key| slot.sign(key, kind, &value))
    }

    /// Signatures of all members of `set` that are members of the coalition.
    pub fn sign_all(&self, set: &ValidatorSet, height: Height, kind: Kind, value: Value) -> SignatureSet {
        let signed = self.keys.keys().filter_map(|key| {
            let index: ValidatorIndex = set.index_of(key)?;
            Some((index, self.sign(key, height, kind, value)?))
        });
        signed.collect()
    }
}
