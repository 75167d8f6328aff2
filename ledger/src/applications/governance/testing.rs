//! A small ledger without a chain, on which tests drive the applications directly.

use super::super::{self as applications, Application, Context, HeightContext};
use crate::{
    genesis::{Engine, FORMAT, Genesis, Limits},
    hash::{Hash, TransactionId},
    keys::{PublicKey, SecretKey},
    signed::{Height, Value},
    state::State,
    validators::{FaultBound, Validator},
};

/// When the network of [`Ledger`] begins, in milliseconds since 1970.
pub(crate) const BEGIN: u64 = 1_000_000;

/// The key with this number.
pub(crate) fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// The validator with this number.
pub(crate) fn validator(number: u8) -> Validator {
    Validator { name: format!("v{number}"), key: secret(number).public() }
}

/// A value for the block with this number.
pub(crate) fn block(number: u8) -> Value {
    Value::Block(Hash([number; 32]))
}

/// A state, and the height that is being decided on it.
pub(crate) struct Ledger {
    pub(crate) genesis: Genesis,
    pub(crate) state: State,
    pub(crate) height: Height,
    /// Of the block that is being decided.
    pub(crate) timestamp: u64,
    transactions: u64,
}

impl Ledger {
    /// A network of validators 0, 1, … at height 1; key 100 is a registered sender.
    pub(crate) fn new(validators: u8) -> Self {
        Self::with_bound(validators, FaultBound::Third)
    }

    pub(crate) fn with_bound(validators: u8, faulty: FaultBound) -> Self {
        let genesis = Genesis {
            format: FORMAT,
            name: "test".into(),
            engine: Engine::DolevStrong,
            fast: true,
            faulty,
            delta_ms: 100,
            created_ms: BEGIN,
            stamp_bits: 0,
            proof_of_work: None,
            limits: Limits::default(),
            validators: (0..validators).map(validator).collect(),
            senders: vec![secret(100).public()],
            records: vec![],
        };
        let mut state = State::default();
        let mut view = state.view();
        applications::begin(&genesis, &mut view);
        let changes = view.into_changes();
        state.apply(changes);
        Self { genesis, state, height: 1, timestamp: BEGIN + 1, transactions: 0 }
    }

    fn at(&self, leader: PublicKey) -> HeightContext<'_> {
        HeightContext { genesis: &self.genesis, height: self.height, timestamp: self.timestamp, leader }
    }

    /// The id that the next transaction will have.
    pub(crate) fn next_id(&self) -> TransactionId {
        Hash::of("test", &[&self.transactions.to_be_bytes()])
    }

    fn context(&self, sender: &SecretKey) -> Context<'_> {
        let at = self.at(secret(0).public());
        Context { at, transaction: self.next_id(), sender: sender.public() }
    }

    /// Checks what `sender` asks.
    pub(crate) fn check<A: Application>(
        &self,
        sender: &SecretKey,
        payload: &A::Payload,
    ) -> Result<(), A::Refusal> {
        A::check(payload, &self.context(sender), &self.state.view())
    }

    /// Checks and applies what `sender` asks. Gives the transaction's id.
    pub(crate) fn run<A: Application>(
        &mut self,
        sender: &SecretKey,
        payload: &A::Payload,
    ) -> Result<TransactionId, A::Refusal> {
        let context = self.context(sender);
        let mut view = self.state.view();
        A::check(payload, &context, &view)?;
        A::apply(payload, &context, &mut view);
        let (id, changes) = (context.transaction, view.into_changes());
        self.state.apply(changes);
        self.transactions += 1;
        Ok(id)
    }

    /// Ends the height, led by validator 0, and goes on to the next one, a millisecond later.
    pub(crate) fn end_height(&mut self) {
        self.end_height_led_by(secret(0).public());
    }

    pub(crate) fn end_height_led_by(&mut self, leader: PublicKey) {
        let mut view = self.state.view();
        applications::end_height(&self.at(leader), &mut view);
        let changes = view.into_changes();
        self.state.apply(changes);
        self.height += 1;
        self.timestamp += 1;
    }
}
