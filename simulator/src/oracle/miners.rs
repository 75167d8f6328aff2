//! The oracle of miners: what every block has to be, and that in the end there is one chain with everything on it.
//!
//! Blocks may be undone, so nothing is said of what a host holds on the way but that it is a chain of work: each block
//! follows the one before, its hash meets a target that is no easier than the easiest, its time is later, its
//! transactions are signed, and no transaction counts twice.

use super::{Hash, Violation, check_bounds, reading, signatures};
use crate::{
    observation::{Observation, Observed},
    scenario::Scenario,
    watch::Watch,
    world::EASIEST_BITS,
};
use conclave_protocol::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Most violations that are written down; one is enough.
const MAX_VIOLATIONS: usize = 16;

/// A block on a host's chain.
struct Adopted {
    hash: Hash,
    timestamp: u64,
    transactions: Vec<Hash>,
}

/// The oracle of one run of miners.
pub struct MinersOracle {
    honest: BTreeSet<usize>,
    down: BTreeSet<usize>,
    chains: BTreeMap<usize, BTreeMap<u64, Adopted>>,
    /// When each host was started last: in that moment it tells what its log says, step by step.
    started: BTreeMap<usize, Time>,
    submitted: BTreeSet<Hash>,
    violations: Vec<Violation>,
}

impl MinersOracle {
    /// An oracle for a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            honest: scenario.honest().collect(),
            down: BTreeSet::new(),
            chains: BTreeMap::new(),
            started: BTreeMap::new(),
            submitted: BTreeSet::new(),
            violations: Vec::new(),
        }
    }

    /// The verdict on a run that is over: what was wrong, in the order in which it was found.
    pub fn verdict(mut self) -> Vec<Violation> {
        let present: Vec<usize> = self.honest.difference(&self.down).copied().collect();
        let tip = |host: &usize| {
            let last = self.chains.get(host).and_then(|chain| chain.last_key_value());
            last.map_or((0, Hash::default()), |(height, block)| (*height, block.hash))
        };
        let tips: BTreeMap<usize, (u64, Hash)> = present.iter().map(|host| (*host, tip(host))).collect();
        let (highest, hash) = tips.values().max().copied().unwrap_or_default();
        let first = tips.iter().find(|(_, tip)| **tip == (highest, hash)).map_or(0, |(host, _)| *host);
        for (host, (height, other)) in &tips {
            if *height < highest {
                self.violate(Violation::LeftBehind { host: *host, height: *height, highest });
            } else if *other != hash {
                self.violate(Violation::Disagreement { height: highest, first, second: *host });
            }
        }
        for host in present {
            let blocks = self.chains.get(&host).into_iter().flat_map(BTreeMap::values);
            let there: BTreeSet<Hash> = blocks.flat_map(|block| block.transactions.iter().copied()).collect();
            let missing = self.submitted.difference(&there).count();
            if missing > 0 {
                self.violate(Violation::NoProgress(missing));
            }
        }
        self.violations
    }

    fn violate(&mut self, violation: Violation) {
        if self.violations.len() < MAX_VIOLATIONS && !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }

    fn adopted(&mut self, host: usize, height: u64, bytes: &[u8], is_told_again: bool) {
        let mined = reading::record(bytes).zip(reading::work(bytes));
        let Some((record, work)) = mined.filter(|(record, _)| record.height == height) else {
            return self.violate(Violation::Unreadable { host, height });
        };
        let chain = self.chains.entry(host).or_default();
        match chain.get(&height) {
            Some(known) if known.hash == record.hash => return,
            // A log goes through what was undone once more.
            Some(_) if is_told_again => drop(chain.split_off(&height)),
            Some(_) => return self.violate(Violation::Reverted { host, height }),
            None => {}
        }
        let parent = height.checked_sub(1).and_then(|before| chain.get(&before));
        let (hash, timestamp) = parent.map_or((Hash::default(), 0), |block| (block.hash, block.timestamp));
        let is_next = chain.keys().next_back().copied().unwrap_or(0) + 1 == height;
        let follows = is_next && hash == record.parent && timestamp < work.timestamp;
        let counted: BTreeMap<Hash, u64> = chain
            .iter()
            .flat_map(|(height, block)| block.transactions.iter().map(|id| (*id, *height)))
            .collect();
        let transactions: Vec<Hash> = record.transactions.iter().map(|transaction| transaction.id).collect();
        let distinct: BTreeSet<&Hash> = transactions.iter().collect();
        let repeated = transactions.iter().find_map(|id| counted.get(id).copied());
        let repeated = repeated.or((distinct.len() < transactions.len()).then_some(height));
        let is_signed = record
            .transactions
            .iter()
            .all(|one| signatures::signed_transaction(&one.id, one.sender, one.signature));
        chain.insert(height, Adopted { hash: record.hash, timestamp: work.timestamp, transactions });
        if !follows {
            self.violate(Violation::Unchained { host, height });
        }
        if !work.is_done(&record.hash, EASIEST_BITS) {
            self.violate(Violation::Unworked { host, height });
        }
        if let Some(first) = repeated {
            self.violate(Violation::Repeated { first, second: height });
        }
        if !is_signed {
            self.violate(Violation::Invented { height });
        }
    }
}

impl Watch for MinersOracle {
    fn observe(&mut self, observed: &Observed<'_>) {
        match observed.what {
            Observation::Started { host, .. } => {
                self.down.remove(&host);
                self.started.insert(host, observed.at);
            }
            Observation::Died { host } => {
                self.down.insert(host);
            }
            Observation::Decided { host, height, record, .. } if self.honest.contains(&host) => {
                let is_told_again = self.started.get(&host) == Some(&observed.at);
                self.adopted(host, height, record, is_told_again);
            }
            Observation::RolledBack { host, height } => {
                if let Some(chain) = self.chains.get_mut(&host) {
                    chain.split_off(&height);
                }
            }
            Observation::Failed { host, reason } if self.honest.contains(&host) => {
                self.violate(Violation::GaveUp { host, reason: reason.to_owned() });
            }
            Observation::Blamed { by, whom, is_fatal: true, reason }
                if self.honest.contains(&by) && self.honest.contains(&whom) =>
            {
                self.violate(Violation::Blamed { by, whom, reason: reason.to_owned() });
            }
            Observation::Submitted { transaction } => {
                self.submitted.insert(transaction);
            }
            Observation::Holds { .. } => {
                check_bounds(&observed.what).into_iter().for_each(|found| self.violate(found));
            }
            _ => {}
        }
    }
}
