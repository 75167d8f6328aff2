//! The oracle: what must hold in every run, judged from what was seen and by nothing that is judged.
//!
//! It reads bytes with a reader of its own, verifies signatures with the cryptography itself, and counts quorums from the
//! numbers of the scenario. Of the program it uses no rule, no codec and no machine. What it watches for is the list of
//! [`Violation`]s; which of it a run has to keep is said by the scenario's
//! [`Promises`](crate::scenario::Promises), because some of it holds only under assumptions.
//!
//! - `chains.rs`: what was decided. `voting.rs`: what was signed. `ending.rs`: what is looked at when the run is over.
//! - `miners.rs`: another oracle, for runs in which blocks are mined.

mod cbor;
mod chains;
mod ending;
mod miners;
mod reading;
mod signatures;
mod violation;
mod voting;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use miners::MinersOracle;
pub use violation::Violation;

use crate::{
    observation::{Observation, Observed},
    scenario::{Fault, Scenario},
    watch::Watch,
};
use chains::Chain;
use conclave_protocol::time::Time;
use reading::{Hash, Value};
use signatures::Verifier;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use voting::Voting;

/// Most violations that are written down; one is enough.
const MAX_VIOLATIONS: usize = 16;

/// While nodes find each other they have not been connected for `Δ`: heights that a cheat opens then are late.
const FINDING: Duration = Duration::from_secs(5);

/// Most transactions that a pool may hold, and their bytes; most peers that a node may know.
const MAX_POOL: (usize, usize) = (16_384, (8 << 20) + (64 << 10));
const MAX_KNOWN_PEERS: usize = 1024;

/// Most headers in the tree of a host that mines.
const MAX_HEADERS: usize = 16_384;

/// What a host holds more of than it may.
fn check_bounds(what: &Observation<'_>) -> Vec<Violation> {
    let Observation::Holds { host, pool_transactions, pool_bytes, known_peers, headers } = *what else {
        return Vec::new();
    };
    let held = [
        (pool_transactions, MAX_POOL.0, "transactions in its pool"),
        (pool_bytes, MAX_POOL.1, "bytes in its pool"),
        (known_peers, MAX_KNOWN_PEERS, "known peers"),
        (headers, MAX_HEADERS, "headers"),
    ];
    let too_much = held.into_iter().filter(|(count, most, _)| count > most);
    too_much.map(|(count, _, what)| Violation::Unbounded { host, what: format!("{count} {what}") }).collect()
}

/// The oracle of one run.
pub struct Oracle<'s> {
    scenario: &'s Scenario,
    /// Validators that keep the rules, which are also the hosts that do.
    honest: BTreeSet<usize>,
    /// Validators' keys by number.
    keys: Vec<[u8; 32]>,
    /// Hosts that are stopped, killed or cut off at some moment: their heights may take longer.
    disturbed: BTreeSet<usize>,
    verifier: Verifier,
    chains: BTreeMap<usize, Chain>,
    /// The first decision of each height, and whose it is.
    first: BTreeMap<u64, (usize, Hash)>,
    voting: Voting,
    /// Heights that are open, by host.
    opened: BTreeMap<(usize, u64), Time>,
    submitted: BTreeSet<Hash>,
    acknowledged: BTreeMap<Hash, u64>,
    /// Validators against whom evidence was decided.
    accused: BTreeSet<usize>,
    down: BTreeSet<usize>,
    /// Who keeps out whom: what was under way between them is lost.
    kept_out: BTreeSet<(usize, usize)>,
    violations: Vec<Violation>,
}

impl<'s> Oracle<'s> {
    /// An oracle for a scenario, whose network has this id and validators with these keys.
    pub fn new(scenario: &'s Scenario, network: [u8; 32], keys: Vec<[u8; 32]>) -> Self {
        let disturbed = scenario.faults.iter().filter_map(|(_, fault)| match fault {
            Fault::Crash { host, .. } | Fault::Restart { host } | Fault::Pause { host, .. } => Some(*host),
            Fault::Cut { .. } | Fault::Heal => None,
        });
        Self {
            honest: scenario.honest().collect(),
            disturbed: disturbed.collect(),
            verifier: Verifier::new(network, &keys),
            chains: BTreeMap::new(),
            first: BTreeMap::new(),
            voting: Voting::default(),
            opened: BTreeMap::new(),
            submitted: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            accused: BTreeSet::new(),
            down: BTreeSet::new(),
            kept_out: BTreeSet::new(),
            violations: Vec::new(),
            scenario,
            keys,
        }
    }

    /// `q`: see the consensus page.
    fn quorum(&self) -> usize {
        let (n, f) = (self.scenario.validators, usize::from(self.scenario.faulty));
        if 3 * f < n { n - f } else { (n + f) / 2 + 1 }
    }

    fn violate(&mut self, violation: Violation) {
        if self.violations.len() < MAX_VIOLATIONS && !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }

    fn is_honest(&self, host: usize) -> bool {
        self.honest.contains(&host)
    }

    /// A host takes another for the holder of a key.
    fn met(&mut self, host: usize, peer: usize, key: Option<[u8; 32]>) {
        let owner = key.and_then(|key| self.keys.iter().position(|known| *known == key));
        // Twins share a key, and adversaries may share theirs.
        if let Some(owner) = owner.filter(|owner| self.is_honest(*owner) && *owner != peer)
            && self.is_honest(host)
        {
            self.violate(Violation::Impersonated { host, by: peer, validator: owner });
        }
    }

    /// How long a height may take, with what messages, disks and clocks that run apart may add.
    fn patience(&self) -> Duration {
        self.scenario.longest_height() + self.scenario.delta
    }

    /// Whether a height that a host opened has taken too long by now.
    fn check_time(&mut self, host: usize, height: u64, opened: Time, now: Time) {
        let until = opened + self.patience();
        let exempt = self.disturbed.contains(&host)
            || !self.scenario.promises.bounded_heights
            || opened < Time::after_start(FINDING);
        if !exempt && now > until {
            self.violate(Violation::TooSlow { host, height, opened, until });
        }
    }
}

impl Watch for Oracle<'_> {
    fn observe(&mut self, observed: &Observed<'_>) {
        let now = observed.at;
        match observed.what {
            Observation::Started { host, .. } => {
                self.down.remove(&host);
            }
            Observation::Died { host } => {
                self.down.insert(host);
                self.opened.retain(|(of, _), _| *of != host);
            }
            Observation::Happened { .. } => {}
            Observation::Logged { host, record } => self.logged(host, record),
            Observation::Sent { from, to, frame } => self.sent(from, to, frame),
            Observation::Opened { host, height, .. } => {
                self.opened.entry((host, height)).or_insert(now);
            }
            Observation::Decided { host, height, record, proof, .. } => {
                if let Some(opened) = self.opened.remove(&(host, height))
                    && self.is_honest(host)
                {
                    self.check_time(host, height, opened, now);
                }
                self.decided(host, height, record, proof);
            }
            Observation::Proved { host, height, proof } => self.proved(host, height, proof),
            Observation::RolledBack { host, height } => {
                if self.is_honest(host) {
                    self.rolled_back(host, height);
                }
            }
            Observation::Halted { host, height } => {
                if self.is_honest(host)
                    && self.scenario.promises.bounded_heights
                    && !self.disturbed.contains(&host)
                    && self
                        .opened
                        .get(&(host, height))
                        .is_none_or(|opened| *opened >= Time::after_start(FINDING))
                {
                    self.violate(Violation::HaltedForNothing { host, height });
                }
            }
            Observation::Failed { host, reason } => {
                if self.is_honest(host) && self.scenario.promises.agreement {
                    self.violate(Violation::GaveUp { host, reason: reason.to_owned() });
                }
            }
            Observation::Blamed { by, whom, is_fatal, reason } => {
                if is_fatal {
                    self.kept_out.insert((by, whom));
                }
                // Nodes that disagree find each other's blocks wrong.
                let counts = is_fatal && self.scenario.promises.agreement;
                if counts && self.is_honest(by) && self.is_honest(whom) {
                    self.violate(Violation::Blamed { by, whom, reason: reason.to_owned() });
                }
            }
            Observation::Met { host, peer, key } => self.met(host, peer, key),
            Observation::Submitted { transaction } => {
                self.submitted.insert(transaction);
            }
            Observation::Acknowledged { transaction, height, .. } => {
                self.acknowledged.insert(transaction, height);
            }
            Observation::Holds { .. } => {
                check_bounds(&observed.what).into_iter().for_each(|found| self.violate(found));
            }
        }
    }
}
