//! `conclave sim measure`: a large network across the world, in virtual time.

use crate::cli::{failure::Outcome, output::table, session::Session};
use clap::Parser;
use conclave_protocol::time::Time;
use conclave_simulator::{
    adversaries::Misbehaviour,
    latency::FIVE_REGIONS,
    measure::{self, Measured},
    scenario::{Fault, Scenario},
};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Measures a network in five regions of the world: time to decide, messages and bytes
#[derive(Parser)]
#[command(
    after_help = "The time to decide counts from the first node that opens a height. The bound is what two message delays between the \
                  leader and the slowest voter of the quickest quorum take at least, on average over the leaders.\n\n\
                  Example:\n  conclave sim measure --validators 100"
)]
pub(crate) struct Measure {
    /// Validators
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(4..=1024))]
    validators: u16,
    /// Heights
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    heights: u32,
    /// Seed
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

#[derive(Serialize)]
struct Row {
    network: &'static str,
    heights: u64,
    median_ms: f64,
    slowest_ms: f64,
    bound_median_ms: f64,
    bound_slowest_ms: f64,
    frames_per_height_and_node: f64,
    bytes_per_height_and_node: f64,
    violations: usize,
    computed_in_seconds: f64,
}

impl Measure {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let rows: Vec<Row> =
            [Case::Good, Case::Crashed, Case::Equivocating].map(|case| self.case(case)).into();
        session.output.show(&rows, |rows| {
            let cells: Vec<Vec<String>> = rows
                .iter()
                .map(|row| {
                    vec![
                        row.network.to_owned(),
                        row.heights.to_string(),
                        format!("{:.0}", row.median_ms),
                        format!("{:.0}", row.slowest_ms),
                        format!("{:.0} / {:.0}", row.bound_median_ms, row.bound_slowest_ms),
                        format!("{:.0}", row.frames_per_height_and_node),
                        format!("{:.1}", row.bytes_per_height_and_node / 1024.0),
                        row.violations.to_string(),
                        format!("{:.1}", row.computed_in_seconds),
                    ]
                })
                .collect();
            let head = [
                "NETWORK",
                "HEIGHTS",
                "MEDIAN MS",
                "SLOWEST MS",
                "BOUND MS",
                "FRAMES",
                "KIB",
                "VIOLATIONS",
                "SECONDS",
            ];
            let regions = FIVE_REGIONS.names.join(", ");
            format!(
                "{} validators in {regions}; frames and KiB for each height and node\n{}",
                self.validators,
                table(&head, &cells)
            )
        })
    }

    fn case(&self, case: Case) -> Row {
        let validators = usize::from(self.validators);
        let faulty = self.validators.saturating_sub(1) / 3;
        let mut scenario = measure::in_regions(self.seed, validators, faulty, &FIVE_REGIONS, self.heights);
        case.apply(&mut scenario);
        let crashed = if case == Case::Crashed { usize::from(faulty) } else { 0 };
        let hosts: Vec<usize> = scenario.honest().filter(|host| *host < validators - crashed).collect();
        let quorum = validators - usize::from(faulty);
        let bound = measure::two_delays(&FIVE_REGIONS, &hosts, quorum);
        let start = Instant::now();
        let Measured { run, times, heights } = measure::measure(&scenario, &hosts);
        let traffic = run.outcome.traffic;
        let per = (heights.max(1) * hosts.len().max(1) as u64) as f64;
        let frames = traffic.votes + traffic.bodies + traffic.transactions;
        let bytes = traffic.vote_bytes + traffic.body_bytes + traffic.transaction_bytes;
        Row {
            network: case.name(),
            heights,
            median_ms: milliseconds(middle(&times)),
            slowest_ms: milliseconds(times.last().copied().unwrap_or_default()),
            bound_median_ms: milliseconds(middle(&bound)),
            bound_slowest_ms: milliseconds(bound.last().copied().unwrap_or_default()),
            frames_per_height_and_node: frames as f64 / per,
            bytes_per_height_and_node: bytes as f64 / per,
            violations: run.violations.len(),
            computed_in_seconds: start.elapsed().as_secs_f64(),
        }
    }
}

/// What is wrong with the network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Nothing.
    Good,
    /// `f` validators, the last ones, are down.
    Crashed,
    /// The first leader signs two blocks.
    Equivocating,
}

impl Case {
    fn name(self) -> &'static str {
        match self {
            Self::Good => "all well",
            Self::Crashed => "f crashed",
            Self::Equivocating => "first leader equivocates",
        }
    }

    fn apply(self, scenario: &mut Scenario) {
        match self {
            Self::Good => {}
            Self::Crashed => {
                let first = scenario.validators - usize::from(scenario.faulty);
                let at = Time::after_start(Duration::from_secs(5));
                let crash = |host| (at, Fault::Crash { host, loses_unsynced: false });
                scenario.faults = (first..scenario.validators).map(crash).collect();
                scenario.load.iter_mut().for_each(|(_, host)| *host %= first);
            }
            Self::Equivocating => {
                scenario.adversaries = vec![(0, Misbehaviour::Equivocate)];
                scenario.load.iter_mut().for_each(|(_, host)| *host = (*host).max(1));
            }
        }
    }
}

fn middle(times: &[Duration]) -> Duration {
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
