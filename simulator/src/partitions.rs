//! The partition promise, swept: a network of `n` validators, `f < n/3`, is cut in two, in every way, after every event of a
//! height, with crashes of up to `f` validators on top; and healed. Nobody forks, who cannot go on says so, and in the end
//! everything is decided everywhere.
//!
//! **Moments** are all the times at which anything happens in the same network without a cut, from the first opening of its
//! first height until the last host has decided it: a frame arrives, a log is synced, a deadline passes. The cut comes right
//! after them. Two such networks are swept: one whose leader leads, and one whose leader is down, which is one of the `f`.
//!
//! **Crashes.** Each cut at each moment is run twice: without a crash, and with one more of the sets of up to `f` hosts,
//! which take turns, as do the moments of the crashes and whether the connections across the cut outlast it.

use crate::{
    latency::Latency,
    observation::{Observation, Observed},
    oracle::Violation,
    run::run_watched,
    scenario::{Fault, Promises, Scenario},
    watch::Watch,
};
use conclave_protocol::time::Time;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// When the first height opens: everybody has met everybody by then.
const START: Duration = Duration::from_secs(6);

/// A cut lasts longer than a height may take by so many times `Δ`, so that who cannot close has to say so.
const OVERTIME: u32 = 4;

/// Crashes come so many eighths of `Δ` after the cut.
const CRASHES_AFTER: [u32; 4] = [0, 1, 4, 20];

/// A network, a cut and its moment, and who crashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Whether the first leader is down from the beginning.
    pub leader_down: bool,
    /// The hosts on one side.
    pub side: BTreeSet<usize>,
    /// When the network is cut.
    pub at: Time,
    /// Who crashes on top.
    pub crashed: BTreeSet<usize>,
    /// Number in the sweep; what takes turns follows from it.
    pub number: usize,
}

impl fmt::Display for Partition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leader_down, side, at, crashed, number } = self;
        let leader = if *leader_down { "leader down, " } else { "" };
        let milliseconds = at.0 as f64 / 1000.0;
        write!(out, "partition {number} ({leader}hosts {side:?} cut off at {milliseconds:.3} ms")?;
        if !crashed.is_empty() {
            write!(out, ", hosts {crashed:?} crash")?;
        }
        out.write_str(")")
    }
}

/// What came of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aftermath {
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// Hosts that could not close a height and did not say so.
    pub silent: Vec<usize>,
    /// Hosts that said that they cannot close a height.
    pub halted: usize,
}

/// All partitions of `n` validators of which `f < n/3` may fail.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// `n`.
    pub validators: usize,
    /// `f`.
    pub faulty: u16,
}

impl Sweep {
    /// All of them, in order.
    pub fn partitions(&self) -> Vec<Partition> {
        let networks = [false, true].into_iter().filter(|down| !down || self.faulty > 0);
        let mut all = Vec::new();
        for leader_down in networks {
            let moments = self.moments(leader_down);
            let budget = usize::from(self.faulty) - usize::from(leader_down);
            let sets = subsets(usize::from(leader_down)..self.validators, budget);
            for side in self.sides() {
                for at in &moments {
                    let number = all.len();
                    let crashed = sets.get(number / 2 % sets.len().max(1)).cloned();
                    let sets = [Some(BTreeSet::new()), crashed];
                    all.extend(sets.into_iter().flatten().enumerate().map(|(place, crashed)| Partition {
                        leader_down,
                        side: side.clone(),
                        at: *at,
                        crashed,
                        number: number + place,
                    }));
                }
            }
        }
        all
    }

    /// All ways to cut the hosts in two: the last one is always on the other side.
    fn sides(&self) -> impl Iterator<Item = BTreeSet<usize>> + use<> {
        let others = self.validators - 1;
        (1_usize..1 << others).map(move |side| (0..others).filter(|host| side >> host & 1 == 1).collect())
    }

    fn network(&self, leader_down: bool) -> Scenario {
        let mut scenario = Scenario::quiet(7, self.validators, self.faulty);
        scenario.delta = Duration::from_millis(100);
        scenario.latency =
            Latency::Uniform { least: Duration::from_millis(1), most: Duration::from_millis(6) };
        scenario.disk = (Duration::from_micros(100), Duration::from_micros(900));
        let start = Time::after_start(START);
        scenario.load = vec![(start, 1), (start, self.validators - 1)];
        if leader_down {
            scenario.faults = vec![(
                Time::after_start(START - Duration::from_secs(1)),
                Fault::Crash { host: 0, loses_unsynced: false },
            )];
        }
        scenario.promises = Promises::PARTITIONED;
        scenario
    }

    /// When anything happens during the first height.
    pub fn moments(&self, leader_down: bool) -> Vec<Time> {
        let scenario = self.network(leader_down);
        let mut height =
            FirstHeight { wanted: self.validators - usize::from(leader_down), ..Default::default() };
        run_watched(&scenario, &mut height);
        height.moments.into_iter().collect()
    }

    /// The scenario of a partition.
    pub fn scenario(&self, partition: &Partition) -> Scenario {
        let mut scenario = self.network(partition.leader_down);
        let number = partition.number;
        // Right after whatever happens at that moment.
        let cut = partition.at + Duration::from_micros(1);
        let heal = cut + scenario.longest_height() + scenario.delta * OVERTIME;
        let breaks_after = number.is_multiple_of(3).then(|| scenario.delta * 3);
        scenario.faults.push((cut, Fault::Cut { side: partition.side.clone(), breaks_after }));
        for (place, host) in partition.crashed.iter().enumerate() {
            let after = CRASHES_AFTER[(number / 2 + place) % CRASHES_AFTER.len()];
            let at = cut + scenario.delta * after / 8;
            scenario
                .faults
                .push((at, Fault::Crash { host: *host, loses_unsynced: (number / 2).is_multiple_of(2) }));
        }
        scenario.faults.push((heal, Fault::Heal));
        let back = heal + scenario.delta * 2;
        let down = partition.crashed.iter().copied().chain(partition.leader_down.then_some(0));
        scenario.faults.extend(down.map(|host| (back, Fault::Restart { host })));
        scenario.faults.sort_by_key(|(at, _)| *at);
        scenario.end = back + scenario.longest_height() * 10 + Duration::from_secs(30);
        scenario
    }

    /// Runs a partition.
    pub fn run(&self, partition: &Partition) -> Aftermath {
        let scenario = self.scenario(partition);
        let mut witness = Witness::new(&scenario);
        let violations = run_watched(&scenario, &mut witness).violations;
        let halted = witness.halted.iter().map(|(host, _)| host).collect::<BTreeSet<_>>().len();
        Aftermath { violations, silent: witness.silent, halted }
    }
}

/// All sets of one to `most` of these.
fn subsets(of: std::ops::Range<usize>, most: usize) -> Vec<BTreeSet<usize>> {
    let mut sets = vec![BTreeSet::new()];
    for host in of {
        let larger: Vec<BTreeSet<usize>> = sets
            .iter()
            .filter(|set| set.len() < most)
            .map(|set| set.iter().copied().chain([host]).collect())
            .collect();
        sets.extend(larger);
    }
    sets.retain(|set| !set.is_empty());
    sets
}

/// Notes the moments of the first height.
#[derive(Default)]
struct FirstHeight {
    is_open: bool,
    decided: BTreeSet<usize>,
    wanted: usize,
    moments: BTreeSet<Time>,
}

impl Watch for FirstHeight {
    fn observe(&mut self, observed: &Observed<'_>) {
        match observed.what {
            Observation::Opened { .. } => self.is_open = true,
            Observation::Decided { host, height: 1, .. } => {
                self.decided.insert(host);
            }
            _ => return,
        }
        self.moments.insert(observed.at);
    }

    fn moment(&mut self, at: Time) {
        if self.is_open && self.decided.len() < self.wanted {
            self.moments.insert(at);
        }
    }
}

/// Sees whether those who cannot close a height say so before the network is whole again.
#[derive(Default)]
pub struct Witness {
    heal: Time,
    patience: Duration,
    /// The height that each host has open, and since when.
    open: BTreeMap<usize, (u64, Time)>,
    halted: BTreeSet<(usize, u64)>,
    silent: Vec<usize>,
    has_judged: bool,
}

impl Witness {
    /// Of a partition's scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let heal = scenario.faults.iter().find(|(_, fault)| *fault == Fault::Heal);
        Self {
            heal: heal.map_or(scenario.end, |(at, _)| *at),
            patience: scenario.longest_height() + scenario.delta,
            ..Self::default()
        }
    }

    /// Hosts that could not close a height and did not say so.
    pub fn silent(&self) -> &[usize] {
        &self.silent
    }
}

impl Watch for Witness {
    fn observe(&mut self, observed: &Observed<'_>) {
        if !self.has_judged && observed.at >= self.heal {
            self.has_judged = true;
            let stuck = self.open.iter().filter(|(_, (_, since))| *since + self.patience < self.heal);
            let silent = stuck.filter(|(host, (height, _))| !self.halted.contains(&(**host, *height)));
            self.silent = silent.map(|(host, _)| *host).collect();
        }
        match observed.what {
            Observation::Opened { host, height, .. } => {
                self.open.insert(host, (height, observed.at));
            }
            Observation::Decided { host, .. } | Observation::Died { host } => {
                self.open.remove(&host);
            }
            Observation::Halted { host, height } => {
                self.halted.insert((host, height));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_meets_every_moment_and_every_set_of_crashes_its_turn() {
        let sweep = Sweep { validators: 4, faulty: 1 };
        let all = sweep.partitions();
        let (led, unled) = (sweep.moments(false).len(), sweep.moments(true).len());
        assert!(led > 20 && unled > 20, "{led} {unled}");
        assert_eq!(all.iter().filter(|one| !one.leader_down).count(), 7 * led * 2);
        // Who is down already is all that may be.
        assert_eq!(all.iter().filter(|one| one.leader_down).count(), 7 * unled);
        let crashed: BTreeSet<&BTreeSet<usize>> = all.iter().map(|one| &one.crashed).collect();
        assert_eq!(crashed.len(), 5, "nobody, or one of four");
        assert_eq!(subsets(0..7, 2).len(), 7 + 21);
        let sides: BTreeSet<&BTreeSet<usize>> = all.iter().map(|one| &one.side).collect();
        assert_eq!((sides.len(), Sweep { validators: 7, faulty: 2 }.sides().count()), (7, 63));
    }
}
