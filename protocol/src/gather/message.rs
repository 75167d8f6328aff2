//! What the parties say to each other, and what of it is signed.

use super::{MAX_PARTIES, failure::Reason};
use crate::{peer::Peer, peer_record::peer_of_key};
use conclave_ledger::{
    codec,
    hash::{Hash, NetworkId},
    keys::{PublicKey, SecretKey, Signature},
    validators::{FaultBound, Validator},
};
use serde::{Deserialize, Serialize};

/// Most bytes of a message: the cards and signatures of [`MAX_PARTIES`] parties.
pub const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// What all parties have to agree on beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Name of the network.
    pub name: String,
    /// How many gather.
    pub parties: u16,
    /// How many of them may be faulty.
    pub faulty: FaultBound,
    /// Δ, in milliseconds.
    pub delta_ms: u64,
    /// Whether heights may finish by certificate.
    pub fast: bool,
}

impl Terms {
    /// The first field in which these differ from `other`.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let fields = [
            ("name of the network", self.name != other.name),
            ("number of parties", self.parties != other.parties),
            ("number that may be faulty", self.faulty != other.faulty),
            ("delay bound Δ", self.delta_ms != other.delta_ms),
            ("choice between fast and textbook", self.fast != other.fast),
        ];
        fields.into_iter().find(|(_, differs)| *differs).map(|(field, _)| field)
    }
}

/// A place in the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// Who.
    pub peer: Peer,
    /// The run in which it registered.
    pub run: u64,
}

/// What a party contributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Whose it is.
    pub seat: Seat,
    /// What it gathers for.
    pub terms: Terms,
    /// Hash of the roster that it was told.
    pub roster: Hash,
    /// What it will be in the network.
    pub validator: Validator,
    /// Its clock, in milliseconds since 1970.
    pub created_ms: u64,
    /// By the validator key, over seat and name: nobody can bring the key of another.
    pub possession: Signature,
}

/// A card under its party's node key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCard {
    /// The card.
    pub card: Card,
    /// By the key in the peer id.
    pub signature: Signature,
}

/// A party's signature on the genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// Whose.
    pub seat: Seat,
    /// The network id of the genesis, which is its hash.
    pub genesis: NetworkId,
    /// By the key in the peer id.
    pub by_node: Signature,
    /// By the validator key of its card.
    pub by_validator: Signature,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Message {
    /// Round 1.
    Card {
        /// The sender's card.
        card: SignedCard,
        /// The roster that it was told, in the order of peers.
        roster: Vec<Seat>,
    },
    /// Round 2.
    Held {
        /// The cards that the signature rests on.
        cards: Vec<SignedCard>,
        /// The sender's signature.
        signing: Signing,
    },
    /// Round 3.
    Complete {
        /// All signatures.
        signings: Vec<Signing>,
    },
    /// The sender gives up.
    Stopped {
        /// Why, as it says.
        reason: Reason,
        /// The cards that it holds.
        cards: Vec<SignedCard>,
        /// The signatures that it holds.
        signings: Vec<Signing>,
    },
}

impl Message {
    /// The message in canonical form.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a message; `None` if the bytes are none, or longer than any honest one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let message: Self = codec::decode(bytes, MAX_MESSAGE_BYTES).ok()?;
        let (cards, signings, seats) = match &message {
            Self::Card { roster, .. } => (0, 0, roster.len()),
            Self::Held { cards, .. } => (cards.len(), 0, 0),
            Self::Complete { signings } => (0, signings.len(), 0),
            Self::Stopped { cards, signings, .. } => (cards.len(), signings.len(), 0),
        };
        // One more than the parties: what contradicts one of them.
        (cards.max(signings).max(seats) <= MAX_PARTIES + 1).then_some(message)
    }
}

/// The Ed25519 key that a peer id holds.
pub(super) fn key_of_peer(peer: &Peer) -> Option<PublicKey> {
    let key = PublicKey(*peer.as_bytes().last_chunk()?);
    (peer_of_key(&key) == *peer).then_some(key)
}

/// What tells one roster from another.
pub(super) fn hash_of_roster(roster: &[Seat]) -> Hash {
    Hash::of("conclave/gather/roster/1", &[&codec::encode(roster)])
}

fn possession_bytes(seat: &Seat, name: &str) -> Vec<u8> {
    [b"conclave/gather/possession/1".as_slice(), &codec::encode(&(seat, name))].concat()
}

fn card_bytes(card: &Card) -> Vec<u8> {
    [b"conclave/gather/card/1".as_slice(), &codec::encode(card)].concat()
}

fn signing_bytes(seat: &Seat, genesis: &NetworkId) -> Vec<u8> {
    [b"conclave/gather/signing/1".as_slice(), &codec::encode(&(seat, genesis))].concat()
}

impl SignedCard {
    /// Signs a card; its possession is proved by `validator_key`.
    pub fn sign(
        seat: Seat,
        terms: Terms,
        roster: Hash,
        name: &str,
        created_ms: u64,
        node_key: &SecretKey,
        validator_key: &SecretKey,
    ) -> Self {
        let possession = validator_key.sign(&possession_bytes(&seat, name));
        let validator = Validator { name: name.to_owned(), key: validator_key.public() };
        let card = Card { seat, terms, roster, validator, created_ms, possession };
        let signature = node_key.sign(&card_bytes(&card));
        Self { card, signature }
    }

    /// Whether its party has signed it.
    pub fn is_signed(&self) -> bool {
        key_of_peer(&self.card.seat.peer)
            .is_some_and(|key| key.verify(&card_bytes(&self.card), &self.signature))
    }

    /// Whether its party holds the validator key.
    pub fn proves_possession(&self) -> bool {
        let bytes = possession_bytes(&self.card.seat, &self.card.validator.name);
        self.card.validator.key.verify(&bytes, &self.card.possession)
    }
}

impl Signing {
    /// Signs a genesis.
    pub fn sign(seat: Seat, genesis: NetworkId, node_key: &SecretKey, validator_key: &SecretKey) -> Self {
        let bytes = signing_bytes(&seat, &genesis);
        let by_validator = validator_key.sign(&bytes);
        // The node key covers the other signature too, so that nobody who passes it on can spoil it.
        let by_node = node_key.sign(&[bytes.as_slice(), &by_validator.0].concat());
        Self { seat, genesis, by_node, by_validator }
    }

    /// Whether its party has signed it by the node key.
    pub fn is_signed(&self) -> bool {
        let bytes = [signing_bytes(&self.seat, &self.genesis).as_slice(), &self.by_validator.0].concat();
        key_of_peer(&self.seat.peer).is_some_and(|key| key.verify(&bytes, &self.by_node))
    }

    /// Whether it is also signed by this validator key.
    pub fn is_signed_by(&self, validator: &PublicKey) -> bool {
        validator.verify(&signing_bytes(&self.seat, &self.genesis), &self.by_validator)
    }
}
