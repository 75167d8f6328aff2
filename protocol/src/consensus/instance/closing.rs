//! Rules P1–P3: the last window, its end, and what a height that could not close in time does later.
//!
//! **P3 (late close), this project's addition to the page.** A height whose clock says nothing about the others'
//! (it *halted* by P2, or is *late*: see the opening of the crate's `consensus`) still accepts any certificate at any time. But
//! votes may have split so that none will ever exist. So such a node waits until it has `Closing` from a quorum,
//! itself counted, and one window more, and then signs `Settle(x)`, once, where `x` is what a known settle or
//! commit says (if that is a skip or a valid block that is extracted here), or else what the end of the last window says of everything that it knows, whenever it came. A
//! quorum of settles on one value decides it, in which the commit of a node that has decided by its own clock counts
//! like a settle: such a node never settles, so that one settle might be missing for ever. With crashes and clean cuts alone, whoever has a quorum of closings
//! has all that those nodes know, so they settle on the same value, and on the one that a certificate could be on
//! (for the reason on the consensus page: certificates and the end never disagree). Should they differ after all,
//! no quorum settles and the height stays halted: it stops rather than forks.

use super::{Instance, Step};
use crate::{
    consensus::{event::Event, message::Message},
    penalty::Penalty,
    rules::Rule,
    time::Time,
};
use conclave_ledger::{
    proof::Proof,
    signed::{Kind, SignatureSet, Value},
    validators::ValidatorIndex,
};
use std::collections::BTreeSet;

impl Instance {
    /// P1: who is undecided at the start of the last window says so to all, after everything it sent before.
    pub(super) fn start_last_window(&mut self) {
        if let Some(me) = self.me
            && self.keeps(Rule::P1)
        {
            self.closings.insert(me);
            self.send_to_all(Message::Closing { height: self.height() });
        }
    }

    /// P2, at the end of window 2: everybody has voted by the end of window 1, and so the votes of all honest validators are
    /// here by now if the network keeps its bound. If those of a quorum are not, it is cut, even if no connection says so,
    /// and what comes from the other side comes too late to be counted by windows: the height is late.
    pub(super) fn check_votes_came_in_time(&mut self, now: Time) {
        let is_cut = self.votes.len() < self.set.quorum();
        if self.set.closes_by_quorum() && is_cut && !self.late && self.keeps(Rule::P2) {
            self.late = true;
            self.progress(now);
        }
    }

    /// The end of the last window: the decision, or the halt of rule P2.
    pub(super) fn end_last_window(&mut self, now: Time) {
        if self.late {
            // A node in plain mode has not said so yet: there it is of use to late nodes only.
            if self.me.is_some_and(|me| !self.closings.contains(&me)) {
                self.start_last_window();
            }
            let (closing, quorum) = (self.closings.len(), self.set.settling());
            if closing < quorum {
                self.emit(Event::Halted { height: self.height(), closing, quorum });
            }
            return self.late_close(now);
        }
        let needs_quorum = self.set.closes_by_quorum() && self.keeps(Rule::P2);
        if self.config.fast && self.accepted_certificate().is_none() && needs_quorum {
            let (closing, quorum) = (self.closings.len(), self.set.quorum());
            if closing < quorum {
                self.halted = true;
                self.emit(Event::Halted { height: self.height(), closing, quorum });
                self.step = Step::Over;
                // What was known but came too late counts from now on.
                return self.progress(now);
            }
        }
        if let Some((value, certificate)) = self.accepted_certificate() {
            let proof = Proof::Certificate(certificate.votes.clone());
            return self.decide(value, Some(proof), now);
        }
        let value = self.value_at_the_end(|instance, block| {
            let is_accepted = instance.supports.get(block).is_some_and(|support| support.accepted);
            is_accepted || (!instance.keeps(Rule::S1) && instance.has_support(block))
        });
        self.commit(value, now);
    }

    /// Exactly one block extracted, and it is valid and, in fast mode, supported: that block. Otherwise skip.
    fn value_at_the_end(
        &self,
        supported: impl Fn(&Self, &conclave_ledger::hash::BlockHash) -> bool,
    ) -> Value {
        match self.extracted.as_slice() {
            [block]
                if self.verdicts.get(block).copied().flatten().is_some_and(|verdict| verdict.valid)
                    && (!self.config.fast || supported(self, block)) =>
            {
                Value::Block(*block)
            }
            _ => Value::Skip,
        }
    }

    /// Whether the votes that this node has seen are support.
    fn has_support(&self, block: &conclave_ledger::hash::BlockHash) -> bool {
        self.count_votes(&Value::Block(*block)) >= self.set.support()
    }

    /// Decides without a certificate and signs `Commit`, of which f+1 are the proof.
    fn commit(&mut self, value: Value, now: Time) {
        if let Some(me) = self.me
            && !self.commits.contains_key(&me)
            && let Some((me, signature)) = self.sign(Kind::Commit, value)
        {
            self.commits.insert(me, (value, signature));
            self.send_commits(value);
        }
        let proof = self.commit_proof(&value);
        self.decide(value, proof, now);
    }

    fn send_commits(&mut self, value: Value) {
        let commits = collect(&self.commits, &value);
        self.send_to_all(Message::Commit { height: self.height(), value, commits });
    }

    fn commit_proof(&self, value: &Value) -> Option<Proof> {
        let commits = collect(&self.commits, value);
        (commits.len() >= self.set.commits()).then_some(Proof::Commits(commits))
    }

    /// `f+1` commits prove a decision, at any time, to those who have made none: one of them is honest.
    pub(super) fn receive_commits(
        &mut self,
        value: Value,
        commits: &SignatureSet,
        now: Time,
    ) -> Result<(), Penalty> {
        self.add_once(Kind::Commit, value, commits)?;
        let commits = collect(&self.commits, &value).len();
        if self.decision.is_none() && commits > self.set.faulty() {
            self.commit(value, now);
        }
        Ok(())
    }

    pub(super) fn receive_settles(&mut self, value: Value, settles: &SignatureSet) -> Result<(), Penalty> {
        self.add_once(Kind::Settle, value, settles)
    }

    /// P3.
    pub(super) fn late_close(&mut self, now: Time) {
        let over = self.step == Step::Over || (self.step == Step::End && self.late);
        if self.decision.is_some() || self.has_settled || !self.is_untimed() || !over {
            return;
        }
        if self.closings.len() < self.set.settling() {
            return;
        }
        let settle_at = *self.settle_at.get_or_insert(now + self.config.window());
        if now >= settle_at {
            (self.has_settled, self.settle_at) = (true, None);
            self.settle(now);
        }
    }

    fn settle(&mut self, now: Time) {
        let said = self.commits.values().chain(self.settles.values()).map(|(value, _)| *value);
        let known = said.into_iter().find(|value| self.may_settle_on(value));
        let value = known.unwrap_or_else(|| self.value_at_the_end(Self::has_support));
        let has_signed = self.me.is_none_or(|me| self.settles.contains_key(&me));
        if !has_signed && let Some((me, signature)) = self.sign(Kind::Settle, value) {
            self.settles.insert(me, (value, signature));
            let settles = collect(&self.settles, &value);
            self.send_to_all(Message::Settle { height: self.height(), value, settles });
        }
        self.count_settles(now);
    }

    /// What another's word can make this node settle on: never a block that is not here or breaks a rule.
    fn may_settle_on(&self, value: &Value) -> bool {
        value.block().is_none_or(|block| {
            let verdict = self.verdicts.get(&block).copied().flatten();
            self.extracted.contains(&block) && verdict.is_some_and(|verdict| verdict.valid)
        })
    }

    /// A quorum of settles decides; the commit of who decided by its own clock, and so never settles, counts with them.
    /// With `f ≥ n/3` no honest validator need be among so many, so whoever can close by its own clock goes by that.
    pub(super) fn count_settles(&mut self, now: Time) {
        if !self.is_untimed() && !self.set.closes_by_quorum() {
            return;
        }
        let mut values: Vec<Value> = self.settles.values().map(|(value, _)| *value).collect();
        values.sort_unstable();
        values.dedup();
        for value in values {
            let said = self.settles.iter().chain(&self.commits).filter(|(_, (said, _))| *said == value);
            let sayers: BTreeSet<ValidatorIndex> = said.map(|(signer, _)| *signer).collect();
            if sayers.len() >= self.set.settling() {
                self.commit(value, now);
            }
        }
    }

    /// More signatures than the proof had when the height was decided: so that all nodes end with the same.
    pub(super) fn improve_proof(&mut self) {
        let Some(decision) = self.decision.clone() else { return };
        let votes = self.votes_for(&decision.value);
        let better = if self.config.fast && votes.len() >= self.set.quorum() {
            Some(Proof::Certificate(votes))
        } else {
            self.commit_proof(&decision.value)
        };
        let more = |old: &Proof, new: &Proof| {
            (new.is_certificate(), new.signatures().len()) > (old.is_certificate(), old.signatures().len())
        };
        if let Some(better) = better
            && decision.proof.as_ref().is_none_or(|old| more(old, &better))
        {
            self.decision = Some(super::Decision { value: decision.value, proof: Some(better.clone()) });
            self.emit(Event::Proved { height: self.height(), value: decision.value, proof: better });
        }
    }
}

/// The signatures on `value` in a table of which each validator signs one value.
pub(super) fn collect(
    table: &std::collections::BTreeMap<ValidatorIndex, (Value, conclave_ledger::keys::Signature)>,
    value: &Value,
) -> SignatureSet {
    let on_value = table.iter().filter(|(_, (signed, _))| signed == value);
    on_value.map(|(signer, (_, signature))| (*signer, *signature)).collect()
}
