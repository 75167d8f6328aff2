//! What was signed: once, after it was logged, and never for two certificates.

use super::{
    Oracle, Value, Violation,
    reading::{self, Frame, Kind, Shown},
};
use std::collections::{BTreeMap, BTreeSet};

/// Signatures as they were seen.
#[derive(Debug, Default)]
pub(super) struct Voting {
    /// Signatures that the logs of honest hosts hold.
    logged: BTreeMap<usize, BTreeSet<[u8; 64]>>,
    /// Who voted for what, by height.
    votes: BTreeMap<u64, BTreeMap<Value, BTreeSet<usize>>>,
    /// For which values a validator's votes have reached a host, by host, height and validator.
    witnessed: BTreeMap<(usize, u64, usize), BTreeSet<Value>>,
}

impl Voting {
    /// Double votes that a host has seen with its own eyes: host, height, validator.
    pub(super) fn double_votes(&self) -> impl Iterator<Item = (usize, u64, usize)> + '_ {
        self.witnessed.iter().filter(|(_, values)| values.len() > 1).map(|(key, _)| *key)
    }
}

impl Oracle<'_> {
    pub(super) fn logged(&mut self, host: usize, record: &[u8]) {
        if self.is_honest(host)
            && let Some(signature) = reading::logged(record)
        {
            self.voting.logged.entry(host).or_default().insert(signature);
        }
    }

    pub(super) fn sent(&mut self, from: usize, to: usize, frame: &[u8]) {
        let Frame { shown, is_of_fast_mode } = reading::frame(frame);
        // What is refused as a whole shows nobody anything: a frame with one signature that does not hold, or one that
        // the mode does not have.
        let is_taken = (self.scenario.fast || !is_of_fast_mode)
            && shown.iter().all(|one| one.kind != Kind::Vote || self.verifier.holds(one));
        for shown in shown {
            let is_own = self.is_honest(from) && shown.signer == from;
            let is_logged =
                self.voting.logged.get(&from).is_some_and(|logged| logged.contains(&shown.signature));
            if is_own && !is_logged {
                self.violate(Violation::NotLogged { host: from, height: shown.height });
            }
            if shown.kind == Kind::Vote && self.verifier.holds(&shown) {
                self.count_vote(&shown);
                if self.is_honest(to) && is_taken {
                    let key = (to, shown.height, shown.signer);
                    self.voting.witnessed.entry(key).or_default().insert(shown.value);
                }
            }
        }
    }

    /// Counts a vote whose signature holds.
    pub(super) fn count_vote(&mut self, vote: &Shown) {
        if !self.verifier.holds(vote) {
            return;
        }
        let quorum = self.quorum();
        let values = self.voting.votes.entry(vote.height).or_default();
        if !values.entry(vote.value).or_default().insert(vote.signer) {
            return;
        }
        let certificates = values.values().filter(|voters| voters.len() >= quorum).count();
        let is_second =
            values.iter().any(|(value, voters)| *value != vote.value && voters.contains(&vote.signer));
        if certificates > 1 {
            self.violate(Violation::TwoCertificates { height: vote.height });
        }
        if is_second && self.is_honest(vote.signer) {
            self.violate(Violation::SecondVote { validator: vote.signer, height: vote.height });
        }
    }
}
