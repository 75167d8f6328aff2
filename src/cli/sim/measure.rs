//! `conclave sim measure`: large networks across the world, in virtual time.

use crate::cli::{
    failure::{Context, Outcome},
    output::table,
    session::Session,
};
use clap::Parser;
use conclave_simulator::{
    chart::{self, Curve, Panel},
    latency::FIVE_REGIONS,
    measure::{self, Case, Measured},
};
use serde::Serialize;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Measures networks in five regions of the world: time to decide, messages and bytes
#[derive(Parser)]
#[command(
    after_help = "The time to decide counts from the moment at which the leader opens a height, or the first other node where the leader \
                  is down or cheats. The bound: at best it takes each node until it has the votes of the quickest quorum, two delays from the \
                  leader; with a leader that is down the first window and one delay; and with one that cheats it takes f+3 windows at most.\n\n\
                  Examples:\n  \
                  conclave sim measure --validators 100\n  \
                  conclave sim measure --validators 300 --network all-well,leader-down --heights 1\n  \
                  conclave sim measure --validators 100,300 --svg docs/time-to-decide.svg"
)]
pub(crate) struct Measure {
    /// Validators; several numbers with commas between them
    #[arg(long, value_name = "NUMBERS", default_value = "100", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(4..=1024))]
    validators: Vec<u16>,
    /// What is wrong, if anything; several with commas between them [default: all]
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',', value_parser = parse_case)]
    network: Vec<Case>,
    /// Heights, where nothing is wrong with the leader
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    heights: u32,
    /// Seed
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Draw the times into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    validators: u16,
    network: &'static str,
    heights: u64,
    median_ms: f64,
    slowest_ms: f64,
    bound_median_ms: f64,
    bound_slowest_ms: f64,
    frames_per_height_and_node: f64,
    bytes_per_height_and_node: f64,
    violations: Vec<String>,
    computed_in_seconds: f64,
}

const HEAD: [&str; 9] =
    ["N", "NETWORK", "HEIGHTS", "MEDIAN MS", "SLOWEST MS", "BOUND MS", "FRAMES", "KIB", "COMPUTED IN S"];

impl Measure {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let mut rows = Vec::new();
        let mut panels = Vec::new();
        let cases = if self.network.is_empty() { Case::ALL.to_vec() } else { self.network.clone() };
        for case in cases {
            let mut panel = Panel { title: case.name().to_owned(), curves: Vec::new() };
            for validators in &self.validators {
                let start = Instant::now();
                let measured = self.case(case, *validators);
                rows.push(row(case, *validators, &measured, start.elapsed()));
                panel.curves.extend(curves(case, *validators, measured));
            }
            panels.push(panel);
        }
        if let Some(path) = &self.svg {
            let title = format!("Nodes that have decided, in {}", FIVE_REGIONS.names.join(", "));
            std::fs::write(path, chart::svg(&title, &panels))
                .context(|| format!("cannot write {}", path.display()))?;
        }
        rows.sort_by_key(|row| row.validators);
        session.output.show(&rows, |rows| text(rows))
    }

    fn case(&self, case: Case, validators: u16) -> Measured {
        let faulty = validators.saturating_sub(1) / 3;
        let scenario = case.scenario(self.seed, usize::from(validators), faulty, &FIVE_REGIONS, self.heights);
        measure::measure(case, &scenario, &FIVE_REGIONS)
    }
}

fn parse_case(name: &str) -> Result<Case, String> {
    let called = |case: &Case| case.name().replace(' ', "-");
    let found = Case::ALL.into_iter().find(|case| called(case) == name);
    found.ok_or_else(|| {
        format!("no network is called {name:?}; there are: {}", Case::ALL.each_ref().map(called).join(", "))
    })
}

fn row(case: Case, validators: u16, measured: &Measured, took: Duration) -> Row {
    Row {
        validators,
        network: case.name(),
        heights: measured.heights,
        median_ms: milliseconds(middle(&measured.times)),
        slowest_ms: milliseconds(measured.times.last().copied().unwrap_or_default()),
        bound_median_ms: milliseconds(middle(&measured.bound)),
        bound_slowest_ms: milliseconds(measured.bound.last().copied().unwrap_or_default()),
        frames_per_height_and_node: measured.frames,
        bytes_per_height_and_node: measured.bytes,
        violations: measured.run.violations.iter().map(ToString::to_string).collect(),
        computed_in_seconds: took.as_secs_f64(),
    }
}

fn curves(case: Case, validators: u16, measured: Measured) -> [Curve; 2] {
    let Measured { times, bound, .. } = measured;
    [
        Curve { name: format!("{validators} validators"), times, is_bound: false },
        Curve { name: format!("{validators} validators, {}", case.bound()), times: bound, is_bound: true },
    ]
}

fn text(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.validators.to_string(),
                row.network.to_owned(),
                row.heights.to_string(),
                format!("{:.0}", row.median_ms),
                format!("{:.0}", row.slowest_ms),
                format!("{:.0} / {:.0}", row.bound_median_ms, row.bound_slowest_ms),
                format!("{:.0}", row.frames_per_height_and_node),
                format!("{:.1}", row.bytes_per_height_and_node / 1024.0),
                format!("{:.1}", row.computed_in_seconds),
            ]
        })
        .collect();
    let mut text = format!(
        "validators in {}; bound: median and slowest; consensus frames and KiB for each height and node\n{}",
        FIVE_REGIONS.names.join(", "),
        table(&HEAD, &cells)
    );
    for row in rows {
        for violation in &row.violations {
            text.push_str(&format!(
                "VIOLATED: {} validators, {}: {violation}\n",
                row.validators, row.network
            ));
        }
    }
    text
}

fn middle(times: &[Duration]) -> Duration {
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
