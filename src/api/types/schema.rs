//! How the ledger's own types look in JSON, for the OpenAPI document alone.
//!
//! The API sends and takes the ledger's types as they are; the ledger knows nothing of OpenAPI. These mirrors say
//! what their JSON looks like. A test reads every kind of transaction and record through them and compares what
//! comes out, so that a mirror that has fallen behind is found.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// 32 bytes in lower-case hexadecimal: a block hash, transaction id, poll id or network id (SHA-256), or a key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(
    as = Hex32,
    pattern = "^[0-9a-f]{64}$",
    example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)]
pub struct Hex32(pub String);

/// An Ed25519 signature: 64 bytes in lower-case hexadecimal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Signature, pattern = "^[0-9a-f]{128}$")]
pub struct Signature(pub String);

/// Bytes in lower-case hexadecimal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Bytes, pattern = "^([0-9a-f]{2})*$")]
pub struct Bytes(pub String);

/// Canonical CBOR of a transaction, or of an array of at most 1,000 transactions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Cbor, value_type = String, format = Binary)]
pub struct Cbor(pub Vec<u8>);

/// What became of one submitted transaction, or of each of several.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Answered {
    /// Of a single one.
    One(super::TransactionStatus),
    /// Of several.
    Several(super::Submitted),
}

/// A signed request to the ledger. Its id is `SHA-256("conclave/transaction/1" ‖ 0x00 ‖ canonical CBOR of request)`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// What is asked, by whom, where and until when.
    pub request: Request,
    /// The sender's signature over `"conclave/transaction-signature/1" ‖ id`.
    pub signature: Signature,
    /// Proof of work over the id, which senders unknown to the ledger add.
    pub stamp: Option<u64>,
}

/// The part of a transaction that its id covers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TransactionRequest)]
pub struct Request {
    /// The network it is meant for.
    pub network: Hex32,
    /// Public key of who asks.
    pub sender: Hex32,
    /// Last height at which it may be included.
    pub expires: u64,
    /// What is asked.
    pub payload: Payload,
}

/// What a transaction asks, by application.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Puts a record on the log.
    Record(Record),
    /// Opens or closes a poll, or casts a ballot.
    Poll(PollPayload),
    /// Changes the validator set or the limits.
    Governance(GovernancePayload),
    /// Proves that a validator signed twice.
    Evidence(Evidence),
}

/// A record on the log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What it is, for those who read it: 1 to 64 bytes.
    pub kind: String,
    /// What it says: up to 32 KiB.
    pub data: Bytes,
}

/// What can be asked of polls.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PollPayload {
    /// Opens a poll, whose id is the transaction's.
    OpenPoll {
        /// The question: 1 to 256 bytes.
        title: String,
        /// The answers, numbered from 0: 2 to 1,000, all different.
        options: Vec<String>,
        /// How it is voted in and counted.
        method: Method,
        /// Who may vote.
        electorate: Electorate,
        /// From when on ballots count, in milliseconds since 1970.
        opens: u64,
        /// From when on they no longer count, in milliseconds since 1970.
        closes: u64,
        /// Whether a voter may vote again, in which case the last ballot counts.
        revote: bool,
    },
    /// Casts a ballot.
    CastBallot {
        /// In which poll.
        poll: Hex32,
        /// What for.
        choice: Choice,
    },
    /// Closes a poll: by its author before its time, by anybody after.
    ClosePoll {
        /// Which poll.
        poll: Hex32,
    },
}

/// How a poll is voted in and counted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// One option per ballot; most ballots win.
    ChooseOne,
    /// Any set of options per ballot; the option on most ballots wins.
    Approve,
    /// An order of any part of the options, counted by Schulze's beatpath method.
    Rank,
}

/// Who may vote.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Electorate {
    /// Those with one of these public keys.
    Keys(Vec<Hex32>),
    /// The validators that are not suspended.
    Validators,
    /// Everybody; those whom the ledger does not know put a stamp on their ballots.
    Anyone,
}

/// What a ballot says, by the poll's method. Options are numbers from 0.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// For `choose-one`: the option.
    One(u16),
    /// For `approve`: the options approved, ascending; empty is an abstention.
    Approve(Vec<u16>),
    /// For `rank`: groups of options, best first, ascending within a group (a tie); empty is an abstention.
    Rank(Vec<Vec<u16>>),
}

/// What a validator can ask.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum GovernancePayload {
    /// Proposes a change and approves it; the proposal's id is the transaction's.
    Propose {
        /// What is to change.
        change: Change,
    },
    /// Approves a proposal.
    Approve {
        /// Its id.
        proposal: Hex32,
    },
    /// Takes the sender, whose turn to lead was skipped, back into the rotation.
    Resume,
}

/// A change of who decides, or within which bounds.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Takes a validator into the set, as its last member.
    AddValidator(Validator),
    /// Takes the validator with this key out of the set.
    RemoveValidator(Hex32),
    /// Replaces all limits.
    SetLimits(Limits),
}

/// A validator's name and key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// Unique name, 1 to 64 bytes.
    pub name: String,
    /// Public key that signs consensus.
    pub key: Hex32,
}

/// Bounds that every node of the network applies alike.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest canonical transaction, in bytes.
    pub transaction_bytes: u32,
    /// Largest sum of the canonical transactions of one block, in bytes.
    pub body_bytes: u32,
    /// How many heights ahead a transaction may expire at most.
    pub expiry_heights: u64,
    /// Fewest validators that governance may leave.
    pub minimum_validators: u16,
}

/// Two signatures that no honest validator would both give.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Public key of the validator that signed both.
    pub offender: Hex32,
    /// The height in which it did.
    pub height: u64,
    /// One of them.
    pub first: Statement,
    /// The other.
    pub second: Statement,
}

/// Something that a validator signed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What kind of signature.
    pub kind: SignatureKind,
    /// For which value.
    pub value: Decision,
    /// The signature.
    pub signature: Signature,
}

/// The kinds of consensus signatures.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureKind {
    /// The one vote of a height.
    Vote,
    /// For a block extracted after the vote was spent.
    Endorse,
    /// Passing on a certificate.
    RelayCertificate,
    /// Passing on a support.
    RelaySupport,
    /// After a decision at the end of the last window.
    Commit,
    /// Closing a height that could not close in time.
    Settle,
}

/// What a height can decide.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// No block.
    Skip,
    /// The block with this hash.
    Block(Hex32),
}

/// What a block's hash covers. The hash is `SHA-256("conclave/block/1" ‖ 0x00 ‖ canonical CBOR of this)`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The network it belongs to.
    pub network: Hex32,
    /// Its height, from 1.
    pub height: u64,
    /// Hash of the record of the height before; zero at height 1.
    pub parent: Hex32,
    /// Public key of the height's leader, or of the miner.
    pub leader: Hex32,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Hash of the state before this block.
    pub state: Hex32,
    /// Hash of the proofs that the block carries.
    pub proofs: Hex32,
    /// Merkle root (RFC 6962) over the canonical transactions.
    pub transactions: Hex32,
    /// The proof of work, where that decides; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Seal>,
}

/// A proof of work: with this nonce the hash of the header, as a big-endian number, is no larger than the target.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The target in Bitcoin's compact form (`nBits`).
    pub target: u32,
    /// The nonce: 16 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    pub nonce: String,
}

/// A block.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What the hash covers.
    pub header: Header,
    /// Proofs of every height from the last block's on up to the parent's, ascending.
    pub proofs: Vec<Proof>,
    /// What the block does, in order.
    pub transactions: Vec<Transaction>,
}

/// A height that decided no block.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The network it belongs to.
    pub network: Hex32,
    /// Its height.
    pub height: u64,
    /// Hash of the record of the height before.
    pub parent: Hex32,
}

/// What a decided height leaves behind.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decided {
    /// A block.
    Block(Block),
    /// A skip.
    Skip(Skip),
}

/// Why a height is decided as it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A quorum of votes.
    Certificate(SignatureSet),
    /// `f+1` or more commits, of a height decided at the end of its last window.
    Commits(SignatureSet),
}

/// Signatures by distinct validators.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureSet {
    /// Mask of signers: bit `i mod 8` of byte `i / 8` for validator `i` of the height's set.
    pub signers: Bytes,
    /// Their signatures of 64 bytes each, one after the other.
    pub signatures: Bytes,
}

/// A network's definition, whose canonical hash is the network id.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Version of the format.
    pub format: u32,
    /// Name of the network.
    pub name: String,
    /// Which protocol decides.
    pub engine: Engine,
    /// Whether heights may finish by certificate.
    pub fast: bool,
    /// How many validators may be faulty.
    pub faulty: FaultBound,
    /// Δ in milliseconds.
    pub delta_ms: u64,
    /// When the network was defined, in milliseconds since 1970.
    pub created_ms: u64,
    /// Leading zero bits of the stamp that senders unknown to the ledger need.
    pub stamp_bits: u8,
    /// What proofs of work are asked for, under that engine; absent under another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_of_work: Option<ProofOfWork>,
    /// Bounds at the start; governance may change them.
    pub limits: Limits,
    /// Validators of height 1.
    pub validators: Vec<Validator>,
    /// Keys that may send without a stamp.
    pub senders: Vec<Hex32>,
    /// Records that are on the log from the start.
    pub records: Vec<Record>,
}

/// Which protocol decides the chain.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// A fixed, governed validator set; final once decided.
    DolevStrong,
    /// Anyone may mine; the branch with the most work is the chain.
    ProofOfWork,
}

/// What proofs of work are asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofOfWork {
    /// Zero bits that hashes begin with at the start, which is also the easiest that it ever gets.
    pub leading_zero_bits: u8,
    /// Time between two blocks for which the target is made, in milliseconds.
    pub block_interval_ms: u64,
    /// So far behind its schedule the target has doubled, in milliseconds.
    pub half_life_ms: u64,
    /// Whether blocks without transactions are mined.
    pub mine_empty: bool,
    /// Blocks over the one that holds something before it is called final.
    pub depth: u64,
}

/// `f`, by rule or as a number.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum FaultBound {
    /// A rule over the number of validators.
    Rule(FaultRule),
    /// A fixed number.
    Exactly(u16),
}

/// A rule for `f` over `n` validators.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultRule {
    /// ⌊(n−1)/3⌋.
    Third,
    /// ⌊(n−1)/2⌋.
    Half,
    /// n−1.
    AllButOne,
}

/// The result of a poll. All lists but `order` are by option number.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tally {
    /// Of `choose-one`.
    ChooseOne {
        /// Ballots counted.
        ballots: u64,
        /// Ballots for each option.
        counts: Vec<u64>,
        /// Groups of options with as many ballots, best first.
        order: Vec<Vec<u16>>,
    },
    /// Of `approve`.
    Approve {
        /// Ballots counted, abstentions included.
        ballots: u64,
        /// Ballots that approve each option.
        counts: Vec<u64>,
        /// Groups of options on as many ballots, best first.
        order: Vec<Vec<u16>>,
    },
    /// Of `rank`.
    Rank {
        /// Ballots counted, abstentions included.
        ballots: u64,
        /// Ballots that rank each option above all others.
        first_preferences: Vec<u64>,
        /// `pairwise[i][j]`: ballots that rank option i strictly above option j.
        pairwise: Vec<Vec<u64>>,
        /// Groups of tied options, best first, by Schulze's method.
        order: Vec<Vec<u16>>,
    },
}

/// Who may vote in a poll; a listed electorate by its number of keys.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ElectorateKind {
    /// A list of that many keys.
    Keys(u32),
    /// The validators.
    Validators,
    /// Everybody.
    Anyone,
}
