//! The pool: transactions that wait to be decided, in the order of their arrival, within bounds.
//!
//! Every transaction in the pool has a good signature and met every rule at the tip at which it was admitted. Its
//! place is freed when it is decided, when it expires, or when it breaks a rule at a later tip.

use crate::{
    applications::{HeightContext, governance},
    chain::{Chain, Knowledge, TransactionError, apply_transaction, check_transaction},
    genesis::Limits,
    hash::{NetworkId, TransactionId},
    keys::{Batch, PublicKey},
    proof::Proof,
    signed::{Height, Value},
    state::View,
    transaction::{SharedTransaction, signed_bytes},
};
use std::collections::BTreeMap;

/// Bounds of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Most transactions (default 16,384).
    pub transactions: usize,
    /// Most canonical bytes (default 8 MiB).
    pub bytes: usize,
    /// Most transactions of one sender (default 4,096), so that no single one fills the pool.
    pub per_sender: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { transactions: 16_384, bytes: 8 << 20, per_sender: 4_096 }
    }
}

/// Why a transaction is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It waits in the pool already.
    #[error("the transaction is already waiting to be decided")]
    AlreadyWaiting,
    /// It breaks a rule of the ledger.
    #[error(transparent)]
    Invalid(#[from] TransactionError),
    /// The pool is full.
    #[error(
        "the pool holds {transactions} transactions of {bytes} bytes and is full: try again when some are decided"
    )]
    Full {
        /// Transactions waiting.
        transactions: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The sender has too many waiting.
    #[error("the sender has {0} transactions waiting: try again when some are decided")]
    TooManyOfSender(usize),
}

impl PoolError {
    /// Whether the same transaction may be admitted later, or by a node at another height, so that nobody is to blame
    /// for sending it. A stamp that is missing belongs here: who needs none follows from the state.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::AlreadyWaiting | Self::Full { .. } | Self::TooManyOfSender(_) => true,
            Self::Invalid(TransactionError::Refused(refusal)) => !refusal.is_final(),
            Self::Invalid(error) => !matches!(
                error,
                TransactionError::WrongNetwork(_)
                    | TransactionError::TooLarge { .. }
                    | TransactionError::Signature
            ),
        }
    }
}

/// Transactions that wait.
pub struct Pool {
    limits: PoolLimits,
    entries: BTreeMap<u64, SharedTransaction>,
    places: BTreeMap<TransactionId, u64>,
    senders: BTreeMap<PublicKey, usize>,
    bytes: usize,
    /// The place of the last arrival.
    last: u64,
    /// The first place; what comes back from blocks that were undone is put before it.
    first: u64,
}

/// The place in the middle, where an empty pool begins: there is room before and behind.
const MIDDLE: u64 = 1 << 63;

impl Pool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            places: BTreeMap::new(),
            senders: BTreeMap::new(),
            bytes: 0,
            last: MIDDLE,
            first: MIDDLE + 1,
        }
    }

    /// Number of transactions waiting.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Canonical bytes of the transactions waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The waiting transaction with this id.
    pub fn get(&self, id: &TransactionId) -> Option<&SharedTransaction> {
        self.places.get(id).and_then(|place| self.entries.get(place))
    }

    /// The waiting transactions in the order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = &SharedTransaction> {
        self.entries.values()
    }

    /// Checks a transaction against every rule and the bounds, and lets it wait. `now_ms` is milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// The rule or the bound.
    pub fn admit(
        &mut self,
        transaction: SharedTransaction,
        chain: &Chain,
        now_ms: u64,
    ) -> Result<TransactionId, PoolError> {
        let verdicts = self.admit_all(vec![transaction], chain, now_ms);
        verdicts.into_iter().next().expect("one verdict for each transaction")
    }

    /// [`Pool::admit`] for each in turn, with one verdict for each; their signatures are verified in one batch.
    pub fn admit_all(
        &mut self,
        transactions: Vec<SharedTransaction>,
        chain: &Chain,
        now_ms: u64,
    ) -> Vec<Result<TransactionId, PoolError>> {
        let at = chain.next_context(chain.tip().next_timestamp(now_ms));
        let view = chain.view();
        let limits = governance::limits(&view);
        let mut signatures = Batch::default();
        let mut verdicts = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            let id = transaction.id();
            let checked = self.check_unsigned(&transaction, &limits, chain.network(), &at, &view);
            verdicts.push(checked.map(|()| {
                signatures.add(transaction.request.sender, signed_bytes(&id), transaction.signature);
                self.insert(transaction);
                id
            }));
        }
        if !signatures.verify() {
            verdicts.iter_mut().for_each(|verdict| self.take_back_unsigned(verdict));
        }
        verdicts
    }

    /// Every rule and bound but the signature.
    fn check_unsigned(
        &self,
        transaction: &SharedTransaction,
        limits: &Limits,
        network: NetworkId,
        at: &HeightContext<'_>,
        view: &View<'_>,
    ) -> Result<(), PoolError> {
        if self.places.contains_key(&transaction.id()) {
            return Err(PoolError::AlreadyWaiting);
        }
        if self.entries.len() >= self.limits.transactions
            || self.bytes + transaction.size() > self.limits.bytes
        {
            return Err(PoolError::Full { transactions: self.entries.len(), bytes: self.bytes });
        }
        let of_sender = self.senders.get(&transaction.request.sender).copied().unwrap_or(0);
        if of_sender >= self.limits.per_sender {
            return Err(PoolError::TooManyOfSender(of_sender));
        }
        if transaction.request.network != network {
            return Err(TransactionError::WrongNetwork(transaction.request.network).into());
        }
        Ok(check_transaction(transaction, limits, at, view)?)
    }

    fn insert(&mut self, transaction: SharedTransaction) {
        self.last += 1;
        self.insert_at(self.last, transaction);
    }

    fn insert_at(&mut self, place: u64, transaction: SharedTransaction) {
        self.places.insert(transaction.id(), place);
        *self.senders.entry(transaction.request.sender).or_default() += 1;
        self.bytes += transaction.size();
        self.entries.insert(place, transaction);
    }

    /// Lets the transactions of blocks that were undone wait again, in their order and before all others, which may rest on
    /// them. Their signatures were found good. What is on the chain again already is left out; what has become invalid is
    /// returned with the rule. No bound keeps them out: they had their places once, and there are no more of them than
    /// what was undone held.
    pub fn readmit(
        &mut self,
        transactions: impl IntoIterator<Item = SharedTransaction>,
        chain: &Chain,
        now_ms: u64,
    ) -> Vec<(TransactionId, TransactionError)> {
        let at = chain.next_context(chain.tip().next_timestamp(now_ms));
        let mut view = chain.view();
        let limits = governance::limits(&view);
        let (mut valid, mut broken) = (Vec::new(), Vec::new());
        for transaction in transactions {
            match check_transaction(&transaction, &limits, &at, &view) {
                Ok(()) => {
                    // The next ones may rest on this one.
                    apply_transaction(&transaction, &at, &mut view);
                    valid.push(transaction);
                }
                Err(TransactionError::AlreadyIncluded) => {}
                Err(error) => broken.push((transaction.id(), error)),
            }
        }
        valid.retain(|transaction| !self.places.contains_key(&transaction.id()));
        self.first -= valid.len() as u64;
        for (place, transaction) in (self.first..).zip(valid) {
            self.insert_at(place, transaction);
        }
        broken
    }

    /// Takes back an admission whose signature is not good.
    fn take_back_unsigned(&mut self, verdict: &mut Result<TransactionId, PoolError>) {
        if let Ok(id) = verdict
            && !self.get(id).is_some_and(SharedTransaction::verify_signature)
        {
            self.remove(id);
            *verdict = Err(TransactionError::Signature.into());
        }
    }

    /// Frees the place of a transaction.
    pub fn remove(&mut self, id: &TransactionId) -> Option<SharedTransaction> {
        let transaction = self.entries.remove(&self.places.remove(id)?)?;
        self.bytes -= transaction.size();
        let sender = transaction.request.sender;
        if let Some(count) = self.senders.get_mut(&sender) {
            *count -= 1;
            if *count == 0 {
                self.senders.remove(&sender);
            }
        }
        Some(transaction)
    }

    /// Frees the places of transactions that break a rule at the chain's tip, from the oldest to the first that
    /// breaks none, and returns their ids and the rules. Afterwards the pool is empty or has a valid transaction.
    pub fn drop_invalid_front(
        &mut self,
        chain: &Chain,
        now_ms: u64,
    ) -> Vec<(TransactionId, TransactionError)> {
        let at = chain.next_context(chain.tip().next_timestamp(now_ms));
        let view = chain.view();
        let limits = governance::limits(&view);
        let check = |transaction: &SharedTransaction| {
            let verdict = check_transaction(transaction, &limits, &at, &view);
            verdict.err().map(|error| (transaction.id(), error))
        };
        let broken: Vec<(TransactionId, TransactionError)> = self.iter().map_while(check).collect();
        broken.iter().for_each(|(id, _)| {
            self.remove(id);
        });
        broken
    }
}

impl Knowledge for Pool {
    fn transaction(&self, transaction: &SharedTransaction) -> bool {
        self.get(&transaction.id()) == Some(transaction)
    }

    fn proof(&self, _: Height, _: &Value, _: &Proof) -> bool {
        false
    }
}
