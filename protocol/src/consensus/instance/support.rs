//! Rule S1: support for an extracted block, agreed upon like a certificate, except that it decides nothing before
//! the end.

use super::Instance;
use crate::{consensus::message::Message, penalty::Penalty, rules::Rule, time::Time};
use conclave_ledger::{
    hash::BlockHash,
    signed::{Kind, SignatureSet, Value},
    validators::ValidatorIndex,
};

impl Instance {
    /// S1, first half: who has accepted no certificate by the end of window 2 and knows support for a block accepts
    /// it and sends it with its relay. What is known of it may have come in a message of a node whose windows began
    /// earlier, with votes that are not the first ones here.
    pub(super) fn end_second_window(&mut self, now: Time) {
        if !self.config.fast || self.accepted_certificate().is_some() {
            return;
        }
        for block in self.extracted.clone() {
            let votes = self.votes_for(&Value::Block(block));
            let support = self.supports.entry(block).or_default();
            if votes.len() > support.votes.len() {
                support.votes = votes;
            }
            if support.votes.len() >= self.set.support() {
                support.accepted = true;
                self.relay_support(block);
            }
        }
        self.check_votes_came_in_time(now);
    }

    /// S1, second half: support in a message is accepted in window `w ≥ 3` up to window f+3 with at least `w − 2`
    /// relays, and then sent on with this node's.
    pub(super) fn receive_support(
        &mut self,
        sender: ValidatorIndex,
        block: BlockHash,
        votes: &SignatureSet,
        relays: &SignatureSet,
        now: Time,
    ) -> Result<(), Penalty> {
        let value = Value::Block(block);
        if !self.config.fast {
            return Err(Penalty::fatal("support on a network in plain mode"));
        }
        if !self.name(sender, block) {
            return Err(Penalty::serious("support for more blocks of one height than can be extracted"));
        }
        let mut counted = SignatureSet::default();
        self.merge(&mut counted, Kind::Vote, &value, votes)?;
        if counted.len() < self.set.support() {
            return Err(Penalty::fatal("support of too few votes"));
        }
        self.receive_votes(value, votes)?;
        let mut support = self.supports.remove(&block).unwrap_or_default();
        let merged = self.merge(&mut support.relays, Kind::RelaySupport, &value, relays);
        if support.votes.len() < counted.len() {
            support.votes = counted;
        }
        self.supports.insert(block, support);
        merged?;
        self.reconsider_supports(now);
        Ok(())
    }

    /// Accepts what may be accepted by now. Only support for an extracted block is: no other is asked for at the end,
    /// and an honest node so names to the others the blocks that it extracted and no more. Whoever sends support has
    /// sent its chain before, so its block is extracted here within the same `Δ`.
    pub(super) fn reconsider_supports(&mut self, now: Time) {
        if self.window(now) < 3 {
            return;
        }
        for block in self.extracted.clone() {
            let Some(support) = self.supports.get(&block) else { continue };
            let known = support.votes.len() >= self.set.support();
            if known && !support.accepted && self.relays_suffice(support, now) {
                self.supports.entry(block).or_default().accepted = true;
                self.relay_support(block);
            }
        }
    }

    fn relay_support(&mut self, block: BlockHash) {
        if let Some((me, signature)) = self.sign(Kind::RelaySupport, Value::Block(block)) {
            self.supports.entry(block).or_default().relays.insert(me, signature);
        }
        if let Some(message) = self.support_message(&block).filter(|_| self.keeps(Rule::S1)) {
            self.send_to_all(message);
        }
    }

    pub(super) fn support_message(&self, block: &BlockHash) -> Option<Message> {
        let support = self.supports.get(block).filter(|support| support.accepted)?;
        let (votes, relays) = (support.votes.clone(), support.relays.clone());
        Some(Message::Support { height: self.height(), block: *block, votes, relays })
    }
}
