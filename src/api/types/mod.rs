//! What the API answers and what it takes: JSON on the wire, the same types on both ends.
//!
//! Hashes and keys are lower-case hexadecimal, times are milliseconds since 1970, heights count from 1. The
//! ledger's own types appear in their own JSON form, so that whoever reads an answer can compute the hashes again.

mod event;
mod forks;
mod inclusion;
mod known;
pub mod schema;

pub use event::Event;
pub use forks::{BlockTree, TreeBlock, WorkStatus};
pub use inclusion::{InclusionError, InclusionPath, TransactionProof};
pub use known::{KnownPeer, KnownPeers};

use super::problem::Problem;
use conclave_ledger::{
    applications::{
        governance::Change,
        polls::{Closing, ElectorateKind, Phase},
    },
    block::Decided,
    genesis::{Genesis, Limits},
    hash::Hash,
    keys::{PublicKey, Signature},
    proof::Proof,
    signed::Value,
    tally::{Choice, Method, Tally},
    transaction::{Request, Transaction},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A validator's name and key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamedKey {
    /// Its name; absent where the set that it belonged to is no longer known.
    pub name: Option<String>,
    /// Its public key.
    #[schema(value_type = schema::Hex32)]
    pub key: PublicKey,
}

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The program and its version.
    pub version: String,
    /// Name of the network.
    pub network_name: String,
    /// The network id: hash of the genesis file.
    #[schema(value_type = schema::Hex32)]
    pub network: Hash,
    /// The node's libp2p peer id.
    pub peer_id: String,
    /// Multiaddresses that it listens on.
    pub listen: Vec<String>,
    /// The validator that this node is; absent on an observer.
    pub validator: Option<NamedKey>,
    /// Last decided height; 0 before the first.
    pub height: u64,
    /// Hash of its record.
    #[schema(value_type = schema::Hex32)]
    pub hash: Hash,
    /// Timestamp of the last block, or of the genesis file.
    pub timestamp: u64,
    /// Height of the last block; 0 before the first.
    pub block_height: u64,
    /// Hash of the state after the last decided height.
    #[schema(value_type = schema::Hex32)]
    pub state: Hash,
    /// Who leads the next height; a key of zeros where anyone may build it.
    pub leader: NamedKey,
    /// Connected peers.
    pub peers: usize,
    /// Validators that can be reached, this node counted if it is one.
    pub validators_reachable: usize,
    /// Votes in a certificate of the next height.
    pub quorum: usize,
    /// Transactions that wait to be decided.
    pub pool: PoolStatus,
    /// The height it is catching up to, while it does.
    pub catching_up_to: Option<u64>,
    /// The height that cannot close for want of a quorum, while there is one.
    pub halted: Option<u64>,
    /// Why the node no longer takes part, if it does not.
    pub failed: Option<String>,
    /// Why the node is not ready, as `/readyz` says; absent when it is.
    pub not_ready: Option<String>,
    /// Work and branches, where proofs of work decide; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_of_work: Option<WorkStatus>,
}

/// What waits to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolStatus {
    /// Number of transactions.
    pub transactions: usize,
    /// Their canonical bytes.
    pub bytes: usize,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its libp2p peer id.
    pub peer_id: String,
    /// The validator that it has proved to be.
    pub validator: Option<NamedKey>,
    /// The height that it last spoke of.
    pub height: u64,
    /// Its program and version.
    pub version: String,
    /// Address of the connection.
    pub address: String,
    /// From where it is known, as in [`KnownPeer`]; nothing for an observer that is not admitted yet, and
    /// in events.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// The connected peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peers {
    /// Peers.
    pub peers: Vec<Peer>,
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// A multiaddress, such as `/ip4/192.0.2.7/tcp/7700/p2p/12D3KooW…`; without `/p2p/…` whoever answers there will do.
    pub address: String,
}

/// Something to say to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// One line of 1 to 1,000 bytes.
    pub text: String,
}

/// Something that was said to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Announced {
    /// Whose node said it.
    pub peer_id: String,
    /// When, by that node's clock.
    pub timestamp: u64,
    /// What.
    pub text: String,
}

/// The validators of the next height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Validators {
    /// The height.
    pub height: u64,
    /// `q`: votes in a certificate.
    pub quorum: usize,
    /// `f`: how many may be faulty.
    pub faulty: usize,
    /// Members in the order of their index.
    pub validators: Vec<ValidatorInfo>,
    /// Bounds that hold at the height.
    #[schema(value_type = schema::Limits)]
    pub limits: Limits,
}

/// A validator of the next height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidatorInfo {
    /// Position in the set.
    pub index: u16,
    /// Name.
    pub name: String,
    /// Public key.
    #[schema(value_type = schema::Hex32)]
    pub key: PublicKey,
    /// Proved to have signed twice: its signatures no longer count.
    pub suspended: bool,
    /// Passed over in the rotation, because its last turn was skipped.
    pub absent: bool,
    /// Leads the next height.
    pub leader: bool,
    /// Connected to this node, or this node itself.
    pub connected: bool,
}

/// What the ledger makes of a sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sender {
    /// Public key.
    #[schema(value_type = schema::Hex32)]
    pub key: PublicKey,
    /// Whether the ledger knows it, so that it needs no stamp.
    pub known: bool,
    /// Leading zero bits of the stamp that its transactions need now; 0 if it needs none.
    pub stamp_bits: u8,
    /// The height that is decided next.
    pub next_height: u64,
    /// Largest `expires` that a transaction may have now.
    pub latest_expiry: u64,
}

/// Whether a height decided a block or a skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// A block.
    Block,
    /// No block.
    Skip,
}

/// A decided height in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockSummary {
    /// The height.
    pub height: u64,
    /// Hash of its record.
    #[schema(value_type = schema::Hex32)]
    pub hash: Hash,
    /// Block or skip.
    pub kind: RecordKind,
    /// Who built the block; absent for a skip.
    pub leader: Option<NamedKey>,
    /// The block's timestamp; absent for a skip.
    pub timestamp: Option<u64>,
    /// Number of transactions.
    pub transactions: usize,
}

/// Decided heights, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Blocks {
    /// The heights.
    pub blocks: Vec<BlockSummary>,
    /// What `from` to ask for to get the next, older page; absent on the last one.
    pub next: Option<u64>,
}

/// A decided height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockInfo {
    /// The height.
    pub height: u64,
    /// Hash of the record.
    #[schema(value_type = schema::Hex32)]
    pub hash: Hash,
    /// Who led the height, if it decided a block.
    pub leader: Option<NamedKey>,
    /// Ids of the transactions, in order.
    #[schema(value_type = Vec<schema::Hex32>)]
    pub transactions: Vec<Hash>,
    /// The record itself.
    #[schema(value_type = schema::Decided)]
    pub record: Decided,
    /// Why it is decided; absent for as long as this node does not have the proof.
    pub proof: Option<ProofInfo>,
}

/// Why a height is decided as it is, with names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofInfo {
    /// The network.
    #[schema(value_type = schema::Hex32)]
    pub network: Hash,
    /// The height.
    pub height: u64,
    /// What was decided.
    #[schema(value_type = schema::Decision)]
    pub value: Value,
    /// The signatures.
    #[schema(value_type = schema::Proof)]
    pub proof: Proof,
    /// Who signed, ascending by index.
    pub signers: Vec<Signer>,
}

/// One who signed a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Signer {
    /// Position in the height's validator set.
    pub index: u16,
    /// Name and key; absent where the set of that height is no longer known to this node.
    pub validator: Option<NamedKey>,
}

/// What can be submitted: one transaction, or `transactions`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Submission {
    /// Several transactions, at most 1,000, each admitted or refused by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<schema::Transaction>>)]
    pub transactions: Option<Vec<Transaction>>,
    /// Of a single transaction: what is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Request>)]
    pub request: Option<Request>,
    /// Of a single transaction: the sender's signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Signature>)]
    pub signature: Option<Signature>,
    /// Of a single transaction: the stamp, if the sender needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<u64>,
}

/// What became of a submitted transaction, or where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum TransactionStatus {
    /// It waits to be decided.
    Pending {
        /// Its id.
        #[schema(value_type = schema::Hex32)]
        id: Hash,
    },
    /// It is in a decided block.
    Decided {
        /// Its id.
        #[schema(value_type = schema::Hex32)]
        id: Hash,
        /// The block's height.
        height: u64,
        /// The block's hash.
        #[schema(value_type = schema::Hex32)]
        block: Hash,
        /// Its position in the block, from 0.
        index: u32,
        /// Its confirmations: the number of decided heights from the block's on, itself counted. Where proofs of work
        /// decide it is final when they are more than the network's depth.
        depth: u64,
    },
    /// It was not admitted, or can no longer be decided. In a list of answers only: for a single transaction the
    /// problem is the answer.
    Refused {
        /// Its id.
        #[schema(value_type = schema::Hex32)]
        id: Hash,
        /// Why.
        problem: Box<Problem>,
    },
}

/// What became of several submitted transactions, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// One answer for each.
    pub results: Vec<TransactionStatus>,
}

/// A transaction and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionInfo {
    /// Where it stands.
    pub status: TransactionStatus,
    /// The transaction.
    #[schema(value_type = schema::Transaction)]
    pub transaction: Transaction,
}

/// Where a poll stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PollPhase {
    /// It takes no ballots yet.
    Scheduled,
    /// It takes ballots.
    Open,
    /// It takes no more ballots, and they are not counted yet, or what counted them has not enough confirmations.
    Counting,
    /// It has its final tally.
    Closed,
}

impl From<Phase> for PollPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Scheduled => Self::Scheduled,
            Phase::Open => Self::Open,
            Phase::Counting => Self::Counting,
            Phase::Closed => Self::Closed,
        }
    }
}

/// A poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Poll {
    /// Its id: that of the transaction that opened it.
    #[schema(value_type = schema::Hex32)]
    pub id: Hash,
    /// Its number among all polls, from 0.
    pub number: u64,
    /// Where it stands by this node's clock.
    pub phase: PollPhase,
    /// The question.
    pub title: String,
    /// The answers, numbered from 0.
    pub options: Vec<String>,
    /// How it is voted in and counted.
    #[schema(value_type = schema::Method)]
    pub method: Method,
    /// Who may vote.
    #[schema(value_type = schema::ElectorateKind)]
    pub electorate: ElectorateKind,
    /// From when on ballots count.
    pub opens: u64,
    /// From when on they no longer count.
    pub closes: u64,
    /// Whether a voter may vote again.
    pub revote: bool,
    /// Who opened the poll.
    #[schema(value_type = schema::Hex32)]
    pub author: PublicKey,
    /// Number of ballots that count.
    pub ballots: u64,
    /// How it was closed, if it was.
    #[schema(value_type = Option<PollClosing>)]
    pub closing: Option<PollClosing>,
}

/// How a poll was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PollClosing {
    /// Height at whose end its ballots were counted.
    pub height: u64,
    /// Timestamp of that height.
    pub timestamp: u64,
    /// Whether it was before its time, by the author.
    pub early: bool,
}

impl From<Closing> for PollClosing {
    fn from(Closing { height, timestamp, early }: Closing) -> Self {
        Self { height, timestamp, early }
    }
}

/// Polls, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Polls {
    /// The polls.
    pub polls: Vec<Poll>,
    /// What `before` to ask for to get the next, older page; absent on the last one.
    pub next: Option<u64>,
}

/// The tally of a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PollTally {
    /// The poll.
    #[schema(value_type = schema::Hex32)]
    pub poll: Hash,
    /// Whether it never changes any more. If not, it counts the ballots so far.
    pub is_final: bool,
    /// The decided height up to which ballots are counted; for a final tally, that at whose end they were.
    pub height: u64,
    /// The answers, so that a tally can be read alone.
    pub options: Vec<String>,
    /// The result.
    #[schema(value_type = schema::Tally)]
    pub tally: Tally,
}

/// The ballot of a voter that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BallotInfo {
    /// The poll.
    #[schema(value_type = schema::Hex32)]
    pub poll: Hash,
    /// The voter's public key.
    #[schema(value_type = schema::Hex32)]
    pub voter: PublicKey,
    /// What for.
    #[schema(value_type = schema::Choice)]
    pub choice: Choice,
    /// The transaction that cast it; `/v1/transactions/{id}/proof` proves that it is in a block.
    #[schema(value_type = schema::Hex32)]
    pub transaction: Hash,
}

/// A proposal of governance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalInfo {
    /// Its id: that of the transaction that proposed it.
    #[schema(value_type = schema::Hex32)]
    pub id: Hash,
    /// What is to change.
    #[schema(value_type = schema::Change)]
    pub change: Change,
    /// Who proposed it; absent if it follows from evidence.
    pub author: Option<NamedKey>,
    /// Height at which it was proposed.
    pub proposed: u64,
    /// Last height at which it may be approved.
    pub expires: u64,
    /// Who approved it, in that order. Those suspended or no longer validators do not count.
    pub approvals: Vec<NamedKey>,
    /// How many approvals it needs now.
    pub quorum: usize,
    /// First height at which the change is valid, once a quorum has approved.
    pub effective: Option<u64>,
}

/// Proposals, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proposals {
    /// The proposals, open and approved, until they expire.
    pub proposals: Vec<ProposalInfo>,
}

/// The network's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GenesisInfo {
    /// The network id: hash of the genesis file.
    #[schema(value_type = schema::Hex32)]
    pub network: Hash,
    /// The genesis file's content.
    #[schema(value_type = schema::Genesis)]
    pub genesis: Genesis,
}

/// That the process is alive, or ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
}
