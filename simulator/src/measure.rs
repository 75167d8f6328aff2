//! How long it takes, and what it costs: one network, height after height, with the moments at which hosts open and
//! decide them.

use crate::{
    latency::{Latency, Regions},
    observation::{Observation, Observed},
    run::{Run, run_watched},
    scenario::Scenario,
    watch::Watch,
};
use conclave_protocol::time::Time;
use std::{collections::BTreeMap, time::Duration};

/// When hosts opened and decided heights.
#[derive(Debug, Default)]
pub struct Moments {
    /// When each host opened each height, by height.
    pub opened: BTreeMap<u64, BTreeMap<usize, Time>>,
    /// When each host decided each height, by height; and whether it is a block.
    pub decided: BTreeMap<u64, BTreeMap<usize, Time>>,
}

impl Watch for Moments {
    fn observe(&mut self, observed: &Observed<'_>) {
        match observed.what {
            Observation::Opened { host, height } => {
                self.opened.entry(height).or_default().entry(host).or_insert(observed.at);
            }
            Observation::Decided { host, height, .. } => {
                self.decided.entry(height).or_default().entry(host).or_insert(observed.at);
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
    /// From the first opening of a height until each host had decided it: one figure for each host and height.
    pub times: Vec<Duration>,
    /// Heights.
    pub heights: u64,
}

/// Runs a scenario and measures it. `hosts` are those whose times count.
pub fn measure(scenario: &Scenario, hosts: &[usize]) -> Measured {
    let mut moments = Moments::default();
    let run = run_watched(scenario, &mut moments);
    let mut times = Vec::new();
    for (height, decided) in &moments.decided {
        let opened = moments.opened.get(height).and_then(|opened| opened.values().min());
        let of_hosts = decided.iter().filter(|(host, _)| hosts.contains(host));
        times.extend(opened.iter().flat_map(|opened| of_hosts.clone().map(|(_, at)| at.since(**opened))));
    }
    times.sort_unstable();
    let heights = moments.decided.len() as u64;
    Measured { run, times, heights }
}

/// The least that two message delays can take in these regions, for each of the hosts: until it has the block from the
/// leader and the votes of a quorum, each of which was given when its voter had the block. Averaged over the leaders.
pub fn two_delays(regions: &Regions, hosts: &[usize], quorum: usize) -> Vec<Duration> {
    let way = |from: usize, to: usize| if from == to { Duration::ZERO } else { regions.one_way(from, to) };
    let mut times: Vec<Duration> = hosts
        .iter()
        .map(|host| {
            let of_leader = |leader: &usize| {
                let mut votes: Vec<Duration> =
                    hosts.iter().map(|voter| way(*leader, *voter) + way(*voter, *host)).collect();
                votes.sort_unstable();
                votes.get(quorum.saturating_sub(1)).copied().unwrap_or_default()
            };
            let sum: Duration = hosts.iter().map(of_leader).sum();
            sum / hosts.len().max(1) as u32
        })
        .collect();
    times.sort_unstable();
    times
}

/// A network in regions: some transactions one after the other, each when the one before is decided everywhere.
pub fn in_regions(
    seed: u64,
    validators: usize,
    faulty: u16,
    regions: &'static Regions,
    heights: u32,
) -> Scenario {
    let mut scenario = Scenario::quiet(seed, validators, faulty);
    scenario.delta = Duration::from_secs(1);
    scenario.latency = Latency::Regions(regions);
    scenario.load = (0..heights)
        .map(|number| {
            (
                Time::after_start(Duration::from_secs(10 + 20 * u64::from(number))),
                number as usize % validators,
            )
        })
        .collect();
    scenario.end =
        Time::after_start(Duration::from_secs(60 + 20 * u64::from(heights)) + scenario.longest_height() * 2);
    scenario
}
