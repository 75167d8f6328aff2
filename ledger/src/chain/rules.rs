//! The rules of transactions and blocks, one error variant for each.

use super::{Chain, seen_key};
use crate::{
    applications::{self, Context, HeightContext, Refusal, governance},
    block::{Block, Skip},
    genesis::Limits,
    hash::{Hash, TransactionId},
    keys::Batch,
    proof::{Proof, ProofError},
    proof_of_work::WorkError,
    signed::{Height, Value},
    state::View,
    transaction::{SharedTransaction, signed_bytes},
};

/// A rule that a transaction breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// For another network.
    #[error("the transaction is for network {0}")]
    WrongNetwork(Hash),
    /// Larger than the network allows.
    #[error("the transaction has {size} bytes, more than the {limit} that this network allows")]
    TooLarge {
        /// Canonical size in bytes.
        size: usize,
        /// Bound in bytes.
        limit: usize,
    },
    /// Its last height is past.
    #[error("the transaction expired at height {expires}; the next height is {height}: sign it anew")]
    Expired {
        /// Last height at which it could be included.
        expires: Height,
        /// The height to be decided.
        height: Height,
    },
    /// It would have to be remembered for too long.
    #[error("the transaction expires at height {expires}; at most {limit} is allowed now")]
    ExpiresTooLate {
        /// Last height at which it could be included.
        expires: Height,
        /// Largest value allowed.
        limit: Height,
    },
    /// It was included before and has not expired.
    #[error("the transaction is already on the chain")]
    AlreadyIncluded,
    /// The signature is not the sender's.
    #[error("the signature is not that of the sender over this transaction")]
    Signature,
    /// A stamp is missing or too weak.
    #[error("the sender is not known to the ledger, so the transaction needs a stamp of {bits} bits")]
    Stamp {
        /// Leading zero bits needed.
        bits: u8,
    },
    /// An application's rule.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A rule that a block breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// For another network.
    #[error("the block is for network {0}")]
    WrongNetwork(Hash),
    /// Not for the height that is next.
    #[error("the record is for height {found}, the next height is {expected}")]
    Height {
        /// Height found.
        found: Height,
        /// Height expected.
        expected: Height,
    },
    /// Does not follow the tip.
    #[error("the record follows {found}, the tip is {expected}")]
    Parent {
        /// Parent found.
        found: Hash,
        /// Hash of the tip.
        expected: Hash,
    },
    /// Built by somebody else than the leader.
    #[error("the block's leader is not the leader of the height")]
    Leader,
    /// Not later than the block before.
    #[error("the timestamp {found} is not larger than the parent's {parent}")]
    Timestamp {
        /// Timestamp found, in milliseconds since 1970.
        found: u64,
        /// The parent's.
        parent: u64,
    },
    /// Built on another state.
    #[error("the state hash is {found}, this node's is {expected}")]
    State {
        /// Hash found.
        found: Hash,
        /// Hash of this node's state.
        expected: Hash,
    },
    /// The proofs are not those that the header binds.
    #[error("the proofs are not those of the header")]
    ProofsHash,
    /// Not one proof for each height since the last block.
    #[error("{found} proofs, {expected} heights were decided since the last block")]
    ProofCount {
        /// Proofs found.
        found: usize,
        /// Proofs expected.
        expected: usize,
    },
    /// A proof that proves nothing.
    #[error("the proof of height {height}: {error}")]
    Proof {
        /// Height that it is for.
        height: Height,
        /// The rule that it breaks.
        error: ProofError,
    },
    /// The proof of work, or a rule that its header breaks.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// No transaction: an idle chain has no blocks.
    #[error("the block has no transaction")]
    Empty,
    /// More bytes than the network allows.
    #[error("the body has {size} bytes, more than the {limit} that this network allows")]
    BodyTooLarge {
        /// Sum of the canonical sizes, in bytes.
        size: usize,
        /// Bound in bytes.
        limit: usize,
    },
    /// The transactions are not those that the header binds.
    #[error("the transactions are not those of the header")]
    TransactionsRoot,
    /// A transaction that breaks a rule.
    #[error("transaction {index} ({id}): {error}")]
    Transaction {
        /// Position in the block, from 0.
        index: usize,
        /// Its id.
        id: TransactionId,
        /// The rule.
        error: TransactionError,
    },
}

impl BlockError {
    /// The rule's name, for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::WrongNetwork(_) => "network",
            Self::Height { .. } => "height",
            Self::Parent { .. } => "parent",
            Self::Leader => "leader",
            Self::Timestamp { .. } => "timestamp",
            Self::State { .. } => "state",
            Self::ProofsHash | Self::ProofCount { .. } | Self::Proof { .. } => "proofs",
            Self::Work(error) => error.name(),
            Self::Empty => "empty",
            Self::BodyTooLarge { .. } => "body-size",
            Self::TransactionsRoot => "body",
            Self::Transaction { .. } => "transaction",
        }
    }
}

/// What the caller has verified before, so that it is not verified again.
pub trait Knowledge {
    /// Whether this very transaction's signature was found good.
    fn transaction(&self, transaction: &SharedTransaction) -> bool;
    /// Whether every signature of this very proof was found good.
    fn proof(&self, height: Height, value: &Value, proof: &Proof) -> bool;
}

/// Verifies everything.
pub struct NothingKnown;

impl Knowledge for NothingKnown {
    fn transaction(&self, _: &SharedTransaction) -> bool {
        false
    }
    fn proof(&self, _: Height, _: &Value, _: &Proof) -> bool {
        false
    }
}

/// Checks every rule of a transaction but its signature, in the state of `view`; `limits` are those of the height.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_transaction(
    transaction: &SharedTransaction,
    limits: &Limits,
    at: &HeightContext<'_>,
    view: &View<'_>,
) -> Result<(), TransactionError> {
    let request = &transaction.request;
    let (id, size) = (transaction.id(), transaction.size());
    if size > limits.transaction_bytes as usize {
        return Err(TransactionError::TooLarge { size, limit: limits.transaction_bytes as usize });
    }
    if request.expires < at.height {
        return Err(TransactionError::Expired { expires: request.expires, height: at.height });
    }
    let latest = at.height.saturating_add(limits.expiry_heights);
    if request.expires > latest {
        return Err(TransactionError::ExpiresTooLate { expires: request.expires, limit: latest });
    }
    if view.contains(&seen_key(request.expires, &id.0)) {
        return Err(TransactionError::AlreadyIncluded);
    }
    let bits = at.genesis.stamp_bits;
    if !transaction.has_stamp(&id, bits) && !applications::knows(&request.sender, view) {
        return Err(TransactionError::Stamp { bits });
    }
    let context = Context { at: *at, transaction: id, sender: request.sender };
    Ok(applications::check(&request.payload, &context, view)?)
}

/// Applies a transaction that [`check_transaction`] has let through in the same state.
pub(crate) fn apply_transaction(
    transaction: &SharedTransaction,
    at: &HeightContext<'_>,
    view: &mut View<'_>,
) {
    let request = &transaction.request;
    let id = transaction.id();
    let context = Context { at: *at, transaction: id, sender: request.sender };
    applications::apply(&request.payload, &context, view);
    view.put(seen_key(request.expires, &id.0), &());
}

pub(super) fn check_skip(chain: &Chain, skip: &Skip) -> Result<(), BlockError> {
    check_place(chain, skip.network, skip.height, skip.parent)
}

fn check_place(chain: &Chain, network: Hash, height: Height, parent: Hash) -> Result<(), BlockError> {
    if network != chain.network {
        return Err(BlockError::WrongNetwork(network));
    }
    let expected = chain.next_height();
    if height != expected {
        return Err(BlockError::Height { found: height, expected });
    }
    if parent != chain.tip.hash {
        return Err(BlockError::Parent { found: parent, expected: chain.tip.hash });
    }
    Ok(())
}

/// What every engine asks of a header.
pub(super) fn check_header(chain: &Chain, block: &Block) -> Result<(), BlockError> {
    let header = &block.header;
    check_place(chain, header.network, header.height, header.parent)?;
    if header.timestamp <= chain.tip.timestamp {
        return Err(BlockError::Timestamp { found: header.timestamp, parent: chain.tip.timestamp });
    }
    if header.state != chain.root {
        return Err(BlockError::State { found: header.state, expected: chain.root });
    }
    if header.proofs != Block::proofs_hash(&block.proofs) {
        return Err(BlockError::ProofsHash);
    }
    Ok(())
}

/// What a validator set asks of a block: that the leader built it, and for something.
pub(super) fn check_leader(chain: &Chain, block: &Block) -> Result<(), BlockError> {
    if block.header.leader != chain.leader {
        return Err(BlockError::Leader);
    }
    if block.transactions.is_empty() {
        return Err(BlockError::Empty);
    }
    Ok(())
}

pub(super) fn check_proofs(chain: &Chain, block: &Block, known: &dyn Knowledge) -> Result<(), BlockError> {
    let unproven: Vec<(Height, Value)> = chain.unproven().collect();
    if block.proofs.len() != unproven.len() {
        return Err(BlockError::ProofCount { found: block.proofs.len(), expected: unproven.len() });
    }
    for (proof, (height, value)) in block.proofs.iter().zip(unproven) {
        let set = chain.validators_at(height).expect("the sets since the last block are in the state");
        let fail = |error| BlockError::Proof { height, error };
        proof.check_count(&set).map_err(fail)?;
        if !known.proof(height, &value, proof) {
            proof.verify(chain.network, height, &value, &set).map_err(fail)?;
        }
    }
    Ok(())
}

/// Checks and applies the transactions in order; signatures are verified in one batch.
pub(super) fn execute_body(
    block: &Block,
    at: &HeightContext<'_>,
    view: &mut View<'_>,
    known: &impl Knowledge,
) -> Result<(), BlockError> {
    let limits = governance::limits(view);
    let size = block.transactions.iter().map(SharedTransaction::size).sum();
    let limit = limits.body_bytes as usize;
    if size > limit {
        return Err(BlockError::BodyTooLarge { size, limit });
    }
    if Block::transactions_root(&block.transactions) != block.header.transactions {
        return Err(BlockError::TransactionsRoot);
    }
    let fail =
        |index: usize, error| BlockError::Transaction { index, id: block.transactions[index].id(), error };
    check_signatures(block, known).map_err(|index| fail(index, TransactionError::Signature))?;
    for (index, transaction) in block.transactions.iter().enumerate() {
        if transaction.request.network != block.header.network {
            return Err(fail(index, TransactionError::WrongNetwork(transaction.request.network)));
        }
        check_transaction(transaction, &limits, at, view).map_err(|error| fail(index, error))?;
        apply_transaction(transaction, at, view);
    }
    Ok(())
}

/// The index of the first transaction whose signature is not good, as an error.
fn check_signatures(block: &Block, known: &impl Knowledge) -> Result<(), usize> {
    let mut batch = Batch::default();
    for transaction in &block.transactions {
        if !known.transaction(transaction) {
            batch.add(transaction.request.sender, signed_bytes(&transaction.id()), transaction.signature);
        }
    }
    if batch.verify() {
        return Ok(());
    }
    let bad = block.transactions.iter().position(|transaction| !transaction.verify_signature());
    bad.map_or(Ok(()), Err)
}
