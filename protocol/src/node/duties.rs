//! Transactions that a validator sends of its own accord: its return to the turns, and evidence.

use super::{Clock, Node};
use conclave_ledger::{
    applications::{
        Payload,
        evidence::{Evidence, Statement},
        governance,
    },
    keys::{PublicKey, Signature},
    rotation::Rotation,
    signed::{Height, Kind, Value},
    transaction::Request,
};

/// Heights after which a validator's own transaction expires and is sent anew if it is still due.
const EXPIRY: Height = 50;

/// Most pieces of evidence that wait for their height to be decided.
const MAX_EVIDENCE: usize = 64;

impl Node {
    /// A validator that is passed over sends its return as soon as it would count.
    pub(super) fn resume_if_absent(&mut self, clock: Clock) {
        let (Some(key), height) = (self.validator_key(), self.chain.next_height()) else { return };
        let due = Rotation::read(&self.chain.view()).check_resume(&key, height).is_ok();
        let waiting = self.last_resume.is_some_and(|expires| height <= expires);
        let in_touch = self.peers.values().filter(|role| role.validator().is_some()).count() + 1;
        if due
            && !waiting
            && Self::is_active(&self.chain, &key)
            && in_touch >= self.chain.validators().quorum()
        {
            self.last_resume = Some(height + EXPIRY);
            self.send_own(Payload::Governance(governance::Payload::Resume), clock);
        }
        if !due {
            self.last_resume = None;
        }
    }

    pub(super) fn submit_evidence(
        &mut self,
        offender: PublicKey,
        height: Height,
        first: (Kind, Value, Signature),
        second: (Kind, Value, Signature),
        clock: Clock,
    ) {
        let statement = |(kind, value, signature)| Statement { kind, value, signature };
        let evidence = Evidence { offender, height, first: statement(first), second: statement(second) };
        if self.evidence.len() < MAX_EVIDENCE {
            self.evidence.push(evidence);
        }
        self.send_evidence(clock);
    }

    /// Evidence is admitted once its height is decided; until then it waits here.
    pub(super) fn send_evidence(&mut self, clock: Clock) {
        let tip = self.chain.tip().height;
        let (due, later) = std::mem::take(&mut self.evidence).into_iter().partition(|one| one.height <= tip);
        self.evidence = later;
        let due: Vec<Evidence> = due;
        due.into_iter().for_each(|evidence| self.send_own(Payload::Evidence(evidence), clock));
    }

    fn send_own(&mut self, payload: Payload, clock: Clock) {
        if let Some(key) = self.config.validator_key.clone() {
            let expires = self.chain.next_height() + EXPIRY;
            let (network, sender) = (self.chain.network(), key.public());
            let transaction = Request { network, sender, expires, payload }.sign(&key);
            // Refused when somebody else was first: then nothing is left to do.
            let _ = self.admit_local(vec![transaction.into()], clock);
            self.update_pending(clock);
        }
    }
}
