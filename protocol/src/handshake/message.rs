//! What two nodes say to each other before anything else, as requests and responses.

use crate::{exchange, peer::Peer};
use conclave_ledger::{
    bytes::Bytes,
    codec,
    hash::{Hash, NetworkId},
    keys::{PublicKey, SecretKey, Signature},
    signed::Height,
};
use serde::{Deserialize, Serialize};

/// Most bytes of a request or response.
pub const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// Longest text that names a program and its version, in bytes.
pub const MAX_VERSION_BYTES: usize = 64;

/// What a node says that it is; it has to prove the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The holder of this validator key. Whether the key decides anything is up to the validator set.
    Validator(PublicKey),
    /// A node that only follows, by its node key.
    Observer(PublicKey),
}

impl Role {
    /// The key that has to be proved.
    pub fn key(&self) -> PublicKey {
        match self {
            Self::Validator(key) | Self::Observer(key) => *key,
        }
    }

    /// The validator key, if it is one.
    pub fn validator(&self) -> Option<PublicKey> {
        match self {
            Self::Validator(key) => Some(*key),
            Self::Observer(_) => None,
        }
    }
}

/// Who is there, and a challenge for the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The network.
    pub network: NetworkId,
    /// What the sender says that it is.
    pub role: Role,
    /// Program and version.
    pub version: String,
    /// Height of its last decision.
    pub height: Height,
    /// Where it can be dialled: its signed [record](crate::peer_record::PeerRecord), if it knows an address.
    pub record: Option<Bytes>,
    /// 32 random bytes, to be signed by the other.
    pub challenge: Hash,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Step 2, answered by a `Hello`.
    Hello(Hello),
    /// Step 5, answered by a `Proof`.
    Proof {
        /// See [`Binding`].
        signature: Signature,
    },
    /// Step 6: the sender takes part from now on; answered by `Done`.
    Done,
    /// The sender has refused the other, for this reason; answered by `Done`.
    Refused(RefusalReason),
    /// The sender leaves; answered by `Done`.
    Goodbye,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Response {
    /// To a `Hello`.
    Hello(Hello),
    /// To a `Proof`.
    Proof {
        /// See [`Binding`].
        signature: Signature,
    },
    /// To the others.
    Done,
    /// The request was refused.
    Refused(RefusalReason),
}

/// What the machines of two nodes exchange.
pub type Message = exchange::Message<Request, Response>;

/// Why a node refuses another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalReason {
    /// The other is of another network.
    #[error("it belongs to another network")]
    WrongNetwork,
    /// A field is longer than allowed.
    #[error("its hello is malformed")]
    MalformedHello,
    /// The record of its addresses is no record, or another node's.
    #[error("the record of addresses in its hello is not one that it signed")]
    ForeignRecord,
    /// The signature does not prove the key for this challenge, these two peers and this role.
    #[error(
        "it did not prove the key that it claims: the signature is not of this key over this challenge and connection"
    )]
    FalseClaim,
    /// The observer's key is not that of its peer id.
    #[error("the key that it claims is not that of its peer id")]
    ForeignKey,
    /// It claims the validator key of this node, or one that another connected peer has proved.
    #[error("the validator key that it claims is in use by another node: two nodes must never share one")]
    KeyInUse,
    /// A message that does not fit the step.
    #[error("it sent a message that does not belong to this step of the handshake")]
    UnexpectedMessage,
    /// No answer in time.
    #[error("it did not answer in time")]
    Timeout,
    /// It does not speak the handshake of this network.
    #[error(
        "it does not speak this network's handshake: it belongs to another network, or is no node of any"
    )]
    NoHandshake,
    /// It was blamed for too much lately.
    #[error("it is kept out for a while because of what it did")]
    KeptOut,
    /// An observer that did not do the work for its admission; the exchange on admission said why.
    #[error("it did not do the work that admits it")]
    NotAdmitted,
    /// There are as many observers as there may be.
    #[error("no more observers are taken on: there are enough")]
    Full,
    /// Another peer takes its place, or it is of no use to this node. Nobody did anything wrong.
    #[error("the connection makes room for another")]
    NotNeeded,
}

impl RefusalReason {
    /// The name that it has on the wire and in the metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::WrongNetwork => "wrong-network",
            Self::MalformedHello => "malformed-hello",
            Self::ForeignRecord => "foreign-record",
            Self::FalseClaim => "false-claim",
            Self::ForeignKey => "foreign-key",
            Self::KeyInUse => "key-in-use",
            Self::UnexpectedMessage => "unexpected-message",
            Self::Timeout => "timeout",
            Self::NoHandshake => "no-handshake",
            Self::KeptOut => "kept-out",
            Self::NotAdmitted => "not-admitted",
            Self::Full => "full",
            Self::NotNeeded => "not-needed",
        }
    }
}

/// What a proof signs: everything that ties it to one challenge, one pair of nodes and one role.
///
/// Binding both peer ids and the role closes what a bare challenge leaves open: passing the challenge on to the
/// real validator, showing an old proof again, and answering in somebody else's name.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The network.
    pub network: NetworkId,
    /// The verifier's challenge.
    pub challenge: Hash,
    /// Who proves.
    pub prover: Peer,
    /// To whom.
    pub verifier: Peer,
    /// What the prover says that it is.
    pub role: Role,
}

impl Binding {
    fn payload(&self) -> Vec<u8> {
        let mut payload = b"conclave/handshake/1".to_vec();
        payload.extend_from_slice(&self.network.0);
        payload.extend_from_slice(&self.challenge.0);
        for peer in [&self.prover, &self.verifier] {
            payload.push(peer.as_bytes().len() as u8);
            payload.extend_from_slice(peer.as_bytes());
        }
        payload.extend_from_slice(&codec::encode(&self.role));
        payload
    }

    /// The prover's signature.
    pub fn sign(&self, key: &SecretKey) -> Signature {
        key.sign(&self.payload())
    }

    /// Whether `signature` proves the role.
    pub fn verify(&self, signature: &Signature) -> bool {
        self.role.key().verify(&self.payload(), signature)
    }
}
