//! Rules V1 and C1–C3: votes and certificates.

use super::{Instance, Relayed};
use crate::{consensus::message::Message, penalty::Penalty, rules::Rule, time::Time};
use conclave_ledger::{
    proof::Proof,
    signed::{Kind, SignatureSet, Value},
};

impl Instance {
    /// V1: who has not voted by the end of window 1 votes `Skip`.
    pub(super) fn end_first_window(&mut self) {
        if self.config.fast && self.my_vote().is_none() && self.keeps(Rule::V1) {
            self.vote_skip();
        }
    }

    pub(super) fn vote_skip(&mut self) {
        if let Some((me, signature)) = self.sign(Kind::Vote, Value::Skip) {
            self.votes.insert(me, (Value::Skip, signature));
            let votes = self.votes_for(&Value::Skip);
            self.send_to_all(Message::Skip { height: self.height(), votes });
        }
    }

    /// C1: a certificate assembled from votes in window 1 or 2 is accepted; at any time where windows say nothing.
    pub(super) fn assemble_certificates(&mut self, now: Time) {
        if !self.config.fast || self.decision.is_some() {
            return;
        }
        self.skip_early();
        let quorum = self.set.quorum();
        let mut values: Vec<Value> = self.votes.values().map(|(value, _)| *value).collect();
        values.sort_unstable();
        values.dedup();
        for value in values {
            let in_time = self.window(now) <= 2 || self.is_untimed() || !self.keeps(Rule::C1);
            if in_time && self.count_votes(&value) >= quorum {
                let votes = self.votes_for(&value);
                self.certificates.entry(value).or_default().votes = votes;
                self.accept_certificate(value, now);
            }
        }
    }

    /// A late node need not wait for the end of its own window 1 when no block can win any more.
    fn skip_early(&mut self) {
        let hopeless = self.count_votes(&Value::Skip) >= self.set.support();
        if self.late && self.is_open() && self.my_vote().is_none() && hopeless && self.decision.is_none() {
            self.vote_skip();
        }
    }

    /// C3: a certificate in a message is accepted as it is in windows 1 and 2, and in window `w ≥ 3` up to window
    /// f+3 with at least `w − 2` relays.
    pub(in crate::consensus) fn receive_certificate(
        &mut self,
        value: Value,
        votes: &SignatureSet,
        relays: &SignatureSet,
        now: Time,
    ) -> Result<(), Penalty> {
        if !self.config.fast {
            return Err(Penalty::fatal("a certificate on a network in plain mode"));
        }
        self.check_certificate(&value, votes)?;
        self.receive_votes(value, votes)?;
        let mut certificate = self.certificates.remove(&value).unwrap_or_default();
        let merged = self.merge(&mut certificate.relays, Kind::RelayCertificate, &value, relays);
        if certificate.votes.len() < votes.len() {
            certificate.votes = votes.clone();
        }
        let enough = self.relays_suffice(&certificate, now) || !self.keeps(Rule::C3);
        self.certificates.insert(value, certificate);
        merged?;
        // A certificate of a height that is not open yet opens it.
        self.open(now);
        if enough {
            self.accept_certificate(value, now);
        }
        Ok(())
    }

    fn check_certificate(&self, value: &Value, votes: &SignatureSet) -> Result<(), Penalty> {
        if self.certificates.get(value).is_some_and(|known| known.votes == *votes) {
            return Ok(());
        }
        Proof::Certificate(votes.clone())
            .verify(self.slot.network, self.height(), value, &self.set)
            .map_err(|error| Penalty::fatal(format!("a certificate at height {}: {error}", self.height())))
    }

    /// The count of rule C3, which is that of rule S1 too.
    pub(super) fn relays_suffice(&self, relayed: &Relayed, now: Time) -> bool {
        let window = self.window(now);
        let in_time = window <= self.f() + 3;
        self.is_untimed() || (in_time && relayed.relays.len() >= window.saturating_sub(2) as usize)
    }

    /// C2: who accepts a certificate in window `w ≤ f+2` decides at once. The certificate itself goes out a little
    /// later, with this node's relay, to those who have not shown that they have decided.
    fn accept_certificate(&mut self, value: Value, now: Time) {
        let decides = self.window(now) <= self.f() + 2 || self.is_untimed();
        let Some(certificate) = self.certificates.get_mut(&value) else { return };
        certificate.accepted = true;
        if decides {
            let proof = Proof::Certificate(certificate.votes.clone());
            self.open(now);
            self.decide(value, Some(proof), now);
        }
    }

    /// The accepted certificate, if there is one.
    pub(super) fn accepted_certificate(&self) -> Option<(Value, &Relayed)> {
        self.certificates.iter().find(|(_, known)| known.accepted).map(|(value, known)| (*value, known))
    }

    /// The message that carries the accepted certificate with this node's relay added (C2).
    pub(in crate::consensus) fn relay_certificate(&mut self) -> Option<Message> {
        let (value, certificate) = self.accepted_certificate()?;
        let relayed = self.me.is_some_and(|me| certificate.relays.contains(me));
        if !relayed && let Some((me, signature)) = self.sign(Kind::RelayCertificate, value) {
            self.certificates.entry(value).or_default().relays.insert(me, signature);
        }
        let certificate = self.certificates.get(&value)?;
        let (votes, relays) = (certificate.votes.clone(), certificate.relays.clone());
        Some(Message::Certificate { height: self.height(), value, votes, relays })
    }
}
