//! What was decided: agreement, order, proofs, transactions.

use super::{Hash, Oracle, Value, Violation, reading, signatures};
use std::collections::BTreeMap;

/// What a host has decided.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Hash of each record, and its value.
    pub(super) heights: BTreeMap<u64, (Hash, Value)>,
    /// Where each transaction was decided.
    pub(super) transactions: BTreeMap<Hash, u64>,
}

impl Oracle<'_> {
    pub(super) fn decided(&mut self, host: usize, height: u64, bytes: &[u8], proof: Option<&[u8]>) {
        if !self.is_honest(host) {
            return;
        }
        let Some(record) = reading::record(bytes).filter(|record| record.height == height) else {
            return self.violate(Violation::Unreadable { host, height });
        };
        let chain = self.chains.entry(host).or_default();
        if let Some((hash, _)) = chain.heights.get(&height) {
            // A host that starts again tells what its log says.
            if *hash != record.hash {
                self.violate(Violation::Reverted { host, height });
            }
            return;
        }
        let parent = chain.heights.last_key_value();
        let follows = match parent {
            Some((last, (hash, _))) => *last + 1 == height && *hash == record.parent,
            None => height == 1 && record.parent == Hash::default(),
        };
        chain.heights.insert(height, (record.hash, record.value));
        let mut repeated = None;
        for transaction in &record.transactions {
            if let Some(first) = chain.transactions.insert(transaction.id, height) {
                repeated = Some(first);
            }
        }
        if let Some(first) = repeated {
            self.violate(Violation::Repeated { first, second: height });
        }
        if !follows {
            self.violate(Violation::Unchained { host, height });
        }
        match self.first.get(&height).copied() {
            Some((first, hash)) if hash != record.hash && self.scenario.promises.agreement => {
                self.violate(Violation::Disagreement { height, first, second: host });
            }
            Some((_, hash)) if hash == record.hash => {}
            _ => {
                self.first.entry(height).or_insert((host, record.hash));
                self.check_transactions(height, &record.transactions);
            }
        }
        if let Some(proof) = proof {
            self.check_proof(host, height, record.value, proof);
        }
    }

    /// Every transaction was sent by its sender, and evidence names nobody honest.
    fn check_transactions(&mut self, height: u64, transactions: &[reading::Transaction]) {
        for transaction in transactions {
            let sender = self.keys.iter().position(|key| *key == transaction.sender);
            let is_honest = sender.is_some_and(|sender| self.is_honest(sender));
            let was_sent = !is_honest || !transaction.is_record || self.submitted.contains(&transaction.id);
            let is_signed =
                signatures::signed_transaction(&transaction.id, transaction.sender, transaction.signature);
            if !was_sent || !is_signed {
                self.violate(Violation::Invented { height });
            }
            let accused =
                transaction.accuses.and_then(|(key, _)| self.keys.iter().position(|known| *known == key));
            if let Some(validator) = accused {
                self.accused.insert(validator);
                if self.is_honest(validator) {
                    self.violate(Violation::Accused { validator, height });
                }
            }
        }
    }

    /// A certificate has votes of a quorum, other proofs one signature more than there are faulty validators.
    fn check_proof(&mut self, host: usize, height: u64, value: Value, bytes: &[u8]) {
        let Some((is_certificate, shown)) = reading::proof(bytes, height, value) else {
            return self.violate(Violation::Unreadable { host, height });
        };
        let (n, f) = (self.scenario.validators, usize::from(self.scenario.faulty));
        let needed = if is_certificate { self.quorum() } else { (f + 1).min(n - f) };
        let valid = shown.iter().filter(|one| self.verifier.holds(one)).count();
        if valid < needed {
            self.violate(Violation::Unproved { host, height, valid, needed });
        }
        if is_certificate {
            shown.iter().for_each(|vote| self.count_vote(vote));
        }
    }

    pub(super) fn proved(&mut self, host: usize, height: u64, proof: &[u8]) {
        let decided = self.chains.get(&host).and_then(|chain| chain.heights.get(&height)).copied();
        if let Some((_, value)) = decided {
            self.check_proof(host, height, value, proof);
        }
    }

    /// Going back is allowed only where agreement is not promised.
    pub(super) fn rolled_back(&mut self, host: usize, height: u64) {
        if self.scenario.promises.agreement {
            self.violate(Violation::Reverted { host, height });
        }
        if let Some(chain) = self.chains.get_mut(&host) {
            chain.heights.split_off(&height);
            chain.transactions.retain(|_, decided| *decided < height);
        }
    }
}
