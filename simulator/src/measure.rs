//! How long it takes, and what it costs: one network, height after height, with the moments at which hosts open and
//! decide them and what is sent for them; and what there could be at best.

use crate::{
    adversaries::Misbehaviour,
    latency::{Latency, Regions},
    observation::{Observation, Observed},
    run::{Run, run_watched},
    scenario::{Fault, Scenario},
    watch::Watch,
};
use conclave_ledger::codec;
use conclave_protocol::{consensus::Message, node::MAX_RECORD_BYTES, time::Time};
use std::{collections::BTreeMap, time::Duration};

/// What is wrong with the network that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Nothing.
    Good,
    /// `f` validators are down, none of them a leader.
    Crashed,
    /// The first leader is down.
    LeaderDown,
    /// The first leader signs two blocks.
    Equivocating,
}

/// Seconds of virtual time between two transactions: far more than a height takes that nothing is wrong with.
const INTERVAL: u64 = 20;

/// When the first transaction is submitted: everybody has met everybody by then, wherever they are.
const FIRST: u64 = 10;

impl Case {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Good, Self::Crashed, Self::LeaderDown, Self::Equivocating];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "all well",
            Self::Crashed => "f crashed",
            Self::LeaderDown => "leader down",
            Self::Equivocating => "leader equivocates",
        }
    }

    /// What the figures are compared with.
    pub fn bound(self) -> &'static str {
        match self {
            Self::Good | Self::Crashed | Self::LeaderDown => "at best",
            Self::Equivocating => "at most",
        }
    }

    /// A network in regions, as it was before anybody was blamed or passed over: so many transactions, each when the one
    /// before is decided everywhere. Where the first leader is at fault, its height is all that is of interest.
    pub fn scenario(
        self,
        seed: u64,
        validators: usize,
        faulty: u16,
        regions: &'static Regions,
        heights: u32,
    ) -> Scenario {
        let mut scenario = Scenario::quiet(seed, validators, faulty);
        scenario.delta = Duration::from_secs(1);
        scenario.latency = Latency::Regions(regions);
        let is_first_only = matches!(self, Self::LeaderDown | Self::Equivocating);
        let count = if is_first_only { 1 } else { u64::from(heights) };
        scenario.load = (0..count)
            .map(|number| {
                let at = Time::after_start(Duration::from_secs(FIRST + INTERVAL * number));
                (at, (number as usize + usize::from(is_first_only)) % validators)
            })
            .collect();
        let crash = |host| {
            (Time::after_start(Duration::from_secs(FIRST / 2)), Fault::Crash { host, loses_unsynced: false })
        };
        match self {
            Self::Good => {}
            Self::Crashed => {
                let first = validators - usize::from(faulty);
                scenario.faults = (first..validators).map(crash).collect();
                scenario.load.iter_mut().for_each(|(_, host)| *host %= first);
            }
            Self::LeaderDown => scenario.faults = vec![crash(0)],
            Self::Equivocating => scenario.adversaries = vec![(0, Misbehaviour::Equivocate)],
        }
        let longest = scenario.longest_height() * 2;
        scenario.end = Time::after_start(Duration::from_secs(FIRST + INTERVAL * (count + 1)) + longest);
        scenario
    }

    /// The hosts that keep the rules and run.
    pub fn hosts(self, scenario: &Scenario) -> Vec<usize> {
        let crashed = |host: &usize| {
            scenario
                .faults
                .iter()
                .any(|(_, fault)| matches!(fault, Fault::Crash { host: of, .. } if of == host))
        };
        scenario.honest().filter(|host| !crashed(host)).collect()
    }

    /// How many of the first heights count.
    fn counted(self) -> usize {
        match self {
            Self::Good | Self::Crashed => usize::MAX,
            Self::LeaderDown | Self::Equivocating => 1,
        }
    }
}

/// A height, as it went.
#[derive(Clone, Debug, Default)]
pub struct Height {
    /// Its leader.
    pub leader: usize,
    /// When each host opened it.
    pub opened: BTreeMap<usize, Time>,
    /// When each host decided it.
    pub decided: BTreeMap<usize, Time>,
    /// Frames that were sent for it over the consensus channel, and their bytes.
    pub frames: u64,
    /// See `frames`.
    pub bytes: u64,
}

#[derive(Default)]
struct Moments(BTreeMap<u64, Height>);

impl Watch for Moments {
    fn observe(&mut self, observed: &Observed<'_>) {
        match observed.what {
            Observation::Opened { host, height, leader } => {
                let height = self.0.entry(height).or_default();
                height.leader = leader;
                height.opened.entry(host).or_insert(observed.at);
            }
            Observation::Decided { host, height, .. } => {
                self.0.entry(height).or_default().decided.entry(host).or_insert(observed.at);
            }
            Observation::Sent { frame, .. } => {
                if let Ok(message) = codec::decode::<Message>(frame, MAX_RECORD_BYTES) {
                    let height = self.0.entry(message.height()).or_default();
                    height.frames += 1;
                    height.bytes += frame.len() as u64;
                }
            }
            _ => {}
        }
    }
}

/// What a network needed.
#[derive(Debug)]
pub struct Measured {
    /// The run.
    pub run: Run,
    /// From the leader's opening of a height, or the first other one where it is down or cheats, until each host had
    /// decided it: one figure for each host and height, ascending.
    pub times: Vec<Duration>,
    /// The same at best, or at most where the leader cheats.
    pub bound: Vec<Duration>,
    /// Heights that were counted.
    pub heights: u64,
    /// Consensus frames for each height and host that runs.
    pub frames: f64,
    /// Their bytes.
    pub bytes: f64,
}

/// Runs a case and measures it.
pub fn measure(case: Case, scenario: &Scenario, regions: &Regions) -> Measured {
    let mut moments = Moments::default();
    let run = run_watched(scenario, &mut moments);
    let hosts = case.hosts(scenario);
    let quorum = scenario.validators - usize::from(scenario.faulty);
    let (mut times, mut bound) = (Vec::new(), Vec::new());
    let decided = |height: &&Height| !height.decided.is_empty();
    let counted: Vec<&Height> = moments.0.values().filter(decided).take(case.counted()).collect();
    for height in &counted {
        let by_leader = height.opened.get(&height.leader).filter(|_| hosts.contains(&height.leader));
        let Some(opened) = by_leader.or(height.opened.values().min()) else { continue };
        times.extend(hosts.iter().filter_map(|host| Some(height.decided.get(host)?.since(*opened))));
        bound.extend(match case {
            Case::Good | Case::Crashed => two_delays(regions, &hosts, quorum, height.leader),
            Case::LeaderDown => {
                let windows = scenario.delta * 2;
                one_delay(regions, &hosts, quorum).into_iter().map(|delay| windows + delay).collect()
            }
            Case::Equivocating => vec![scenario.longest_height(); hosts.len()],
        });
    }
    times.sort_unstable();
    bound.sort_unstable();
    let sent = counted.iter().fold((0, 0), |sum, height| (sum.0 + height.frames, sum.1 + height.bytes));
    let heights = counted.len() as u64;
    let each = (heights.max(1) * hosts.len().max(1) as u64) as f64;
    Measured { run, times, bound, heights, frames: sent.0 as f64 / each, bytes: sent.1 as f64 / each }
}

fn way(regions: &Regions, from: usize, to: usize) -> Duration {
    if from == to { Duration::ZERO } else { regions.one_way(from, to) }
}

/// The least that two message delays can take in these regions, for each of the hosts: until it has the votes of a quorum,
/// each of which was given when its voter had the leader's block.
fn two_delays(regions: &Regions, hosts: &[usize], quorum: usize, leader: usize) -> Vec<Duration> {
    let arrival = |voter: usize, host: usize| way(regions, leader, voter) + way(regions, voter, host);
    of_quorum(hosts, quorum, arrival)
}

/// The least that one delay can take: until each host has what a quorum of them says at the same moment.
fn one_delay(regions: &Regions, hosts: &[usize], quorum: usize) -> Vec<Duration> {
    of_quorum(hosts, quorum, |voter, host| way(regions, voter, host))
}

fn of_quorum(hosts: &[usize], quorum: usize, arrival: impl Fn(usize, usize) -> Duration) -> Vec<Duration> {
    let until_quorum = |host: &usize| {
        let mut votes: Vec<Duration> = hosts.iter().map(|voter| arrival(*voter, *host)).collect();
        votes.sort_unstable();
        votes.get(quorum.saturating_sub(1)).copied().unwrap_or_default()
    };
    hosts.iter().map(until_quorum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::FIVE_REGIONS;

    #[test]
    fn two_delays_end_with_the_quorum_and_not_with_the_farthest() {
        static TWO: Regions =
            Regions { names: &["here", "there"], round_trip_ms: &[&[2, 100], &[100, 2]], source: "" };
        let hosts: Vec<usize> = (0..4).collect();
        // Hosts 0 and 2 are here, as is the leader; 1 and 3 are there. The third vote decides.
        let times: Vec<u128> = two_delays(&TWO, &hosts, 3, 0).iter().map(Duration::as_millis).collect();
        assert_eq!(times, [100, 51, 100, 51]);
        assert_eq!(one_delay(&TWO, &hosts, 2), [1, 1, 1, 1].map(Duration::from_millis));
    }

    #[test]
    fn a_good_network_takes_little_more_than_its_bound_and_a_bad_leader_no_more_than_is_promised() {
        for case in Case::ALL {
            let scenario = case.scenario(1, 7, 2, &FIVE_REGIONS, 2);
            let measured = measure(case, &scenario, &FIVE_REGIONS);
            assert_eq!(measured.run.violations, [], "{}", case.name());
            assert_eq!(measured.times.len(), measured.bound.len(), "{}", case.name());
            let (slowest, bound) = (*measured.times.last().unwrap(), *measured.bound.last().unwrap());
            assert!(slowest <= bound + scenario.delta, "{}: {slowest:?} {bound:?}", case.name());
            if case != Case::Equivocating {
                assert!(slowest >= bound, "{}: {slowest:?} {bound:?}", case.name());
            }
        }
    }
}
