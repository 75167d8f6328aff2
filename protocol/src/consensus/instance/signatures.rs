//! The signature tables: what is checked before a signature is believed, and what two of them prove.

use super::{Event, Instance};
use crate::{consensus::record::SignedRecord, penalty::Penalty};
use conclave_ledger::{
    hash::BlockHash,
    keys::Signature,
    signed::{Kind, SignatureSet, Value},
    validators::ValidatorIndex,
};

impl Instance {
    /// Signs, logs and returns; the caller puts the signature into its table. `None` where this node does not sign.
    pub(super) fn sign(&mut self, kind: Kind, value: Value) -> Option<(ValidatorIndex, Signature)> {
        let (me, key) = (self.me?, self.config.key.as_ref()?);
        let signature = self.slot.sign(key, kind, &value);
        self.emit(Event::Append(SignedRecord { height: self.height(), kind, value, signature }));
        Some((me, signature))
    }

    /// Whether `signature` is to be believed: `Ok(false)` for a suspended signer, whose word does not count.
    fn believe(
        &self,
        signer: ValidatorIndex,
        kind: Kind,
        value: &Value,
        signature: &Signature,
    ) -> Result<bool, Penalty> {
        if self.set.get(signer).is_none() {
            return Err(Penalty::fatal(format!(
                "a signature by validator {signer}, whom this height does not have"
            )));
        }
        let Some(key) = self.set.signer(signer) else { return Ok(false) };
        if self.slot.verify(key, kind, value, signature) {
            Ok(true)
        } else {
            Err(Penalty::fatal(format!(
                "a {kind:?} signature at height {} that does not verify",
                self.height()
            )))
        }
    }

    /// Adds a vote that came in a message. A second vote for another value is evidence. It does not count as a vote,
    /// but on a block it is a chain signature all the same: an equivocating leader's two votes make two chains, and
    /// who ignored one of them would extract less than others do.
    pub(super) fn add_vote(
        &mut self,
        signer: ValidatorIndex,
        value: Value,
        signature: &Signature,
    ) -> Result<(), Penalty> {
        let known = self.votes.get(&signer).copied();
        let is_second = |block| self.second_votes.get(&block).is_some_and(|set| set.contains(signer));
        let is_known = known.is_some_and(|(voted, _)| voted == value) || value.block().is_some_and(is_second);
        if is_known || !self.believe(signer, Kind::Vote, &value, signature)? {
            return Ok(());
        }
        match known {
            None => {
                self.votes.insert(signer, (value, *signature));
            }
            Some((voted, first)) => {
                if let Value::Block(block) = value {
                    self.second_votes.entry(block).or_default().insert(signer, *signature);
                }
                self.misbehaved(signer, (Kind::Vote, voted, first), (Kind::Vote, value, *signature));
            }
        }
        Ok(())
    }

    pub(in crate::consensus) fn receive_votes(
        &mut self,
        value: Value,
        votes: &SignatureSet,
    ) -> Result<(), Penalty> {
        votes.iter().try_for_each(|(signer, signature)| self.add_vote(signer, value, signature))
    }

    pub(super) fn add_endorsement(
        &mut self,
        signer: ValidatorIndex,
        block: BlockHash,
        signature: &Signature,
    ) -> Result<(), Penalty> {
        let known = self.endorsements.get(&block).is_some_and(|set| set.contains(signer));
        if !known && self.believe(signer, Kind::Endorse, &Value::Block(block), signature)? {
            self.endorsements.entry(block).or_default().insert(signer, *signature);
        }
        Ok(())
    }

    /// Adds the believed ones of `new` to `known`, which holds signatures of `kind` on `value`.
    pub(super) fn merge(
        &self,
        known: &mut SignatureSet,
        kind: Kind,
        value: &Value,
        new: &SignatureSet,
    ) -> Result<(), Penalty> {
        for (signer, signature) in new.iter() {
            if !known.contains(signer) && self.believe(signer, kind, value, signature)? {
                known.insert(signer, *signature);
            }
        }
        Ok(())
    }

    /// Adds settles or commits, of which each validator signs one.
    pub(super) fn add_once(
        &mut self,
        kind: Kind,
        value: Value,
        signatures: &SignatureSet,
    ) -> Result<(), Penalty> {
        for (signer, signature) in signatures.iter() {
            let table = if kind == Kind::Settle { &self.settles } else { &self.commits };
            if !table.contains_key(&signer) && self.believe(signer, kind, &value, signature)? {
                let table = if kind == Kind::Settle { &mut self.settles } else { &mut self.commits };
                table.insert(signer, (value, *signature));
            }
        }
        Ok(())
    }

    /// The known votes for `value`.
    pub(super) fn votes_for(&self, value: &Value) -> SignatureSet {
        let votes = self.votes.iter().filter(|(_, (voted, _))| voted == value);
        votes.map(|(signer, (_, signature))| (*signer, *signature)).collect()
    }

    pub(super) fn count_votes(&self, value: &Value) -> usize {
        self.votes.values().filter(|(voted, _)| voted == value).count()
    }

    pub(in crate::consensus) fn count_commits(&self, value: &Value) -> usize {
        self.commits.values().filter(|(committed, _)| committed == value).count()
    }

    /// The vote that this node has spent.
    pub(super) fn my_vote(&self) -> Option<Value> {
        self.votes.get(&self.me?).map(|(value, _)| *value)
    }

    /// A chain signature of `signer` on `block`.
    pub(super) fn chain_signature(
        &self,
        signer: ValidatorIndex,
        block: &BlockHash,
    ) -> Option<(Kind, Signature)> {
        let (votes, endorsements) = self.chain_signatures(block);
        let vote = votes.get(signer).map(|signature| (Kind::Vote, *signature));
        vote.or_else(|| endorsements.get(signer).map(|signature| (Kind::Endorse, *signature)))
    }

    /// All known chain signatures on `block`: votes, first and second ones, and endorsements.
    pub(super) fn chain_signatures(&self, block: &BlockHash) -> (SignatureSet, SignatureSet) {
        let mut votes = self.votes_for(&Value::Block(*block));
        for (signer, signature) in self.second_votes.get(block).into_iter().flat_map(SignatureSet::iter) {
            votes.insert(signer, *signature);
        }
        (votes, self.endorsements.get(block).cloned().unwrap_or_default())
    }

    /// Number of validators with a chain signature on `block`; none unless the leader is among them.
    pub(super) fn chain_length(&self, block: &BlockHash) -> usize {
        let (votes, endorsements) = self.chain_signatures(block);
        if !votes.contains(self.leader) && !endorsements.contains(self.leader) {
            return 0;
        }
        votes.len() + endorsements.signers().filter(|signer| !votes.contains(*signer)).count()
    }

    /// The leader is to sign one block only; two chain signatures of its own on two blocks are evidence.
    pub(super) fn check_double_proposal(&mut self) {
        let named: Vec<BlockHash> = self.candidates().collect();
        let mut signed = named.iter().filter_map(|block| {
            self.chain_signature(self.leader, block)
                .map(|(kind, signature)| (kind, Value::Block(*block), signature))
        });
        if let (Some(first), Some(second)) = (signed.next(), signed.next()) {
            self.misbehaved(self.leader, first, second);
        }
    }

    fn misbehaved(
        &mut self,
        signer: ValidatorIndex,
        first: (Kind, Value, Signature),
        second: (Kind, Value, Signature),
    ) {
        let Some(validator) = self.set.get(signer).map(|member| member.validator.key) else { return };
        if self.misbehaved.insert(signer) {
            self.emit(Event::Misbehaved { validator, height: self.height(), first, second });
        }
    }
}
