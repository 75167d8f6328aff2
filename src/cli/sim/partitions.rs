//! `conclave sim partitions`: every cut, after every event of a height.

use super::{batch, view::View};
use crate::cli::{
    failure::{Failure, Outcome},
    session::Session,
};
use clap::Parser;
use conclave_simulator::{
    oracle::Violation,
    partitions::{Partition, Sweep, Witness},
};
use serde::Serialize;
use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Most failures that are shown.
const MAX_SHOWN: usize = 20;

/// Cuts a network in two, in every way, after every event of a height, with and without crashes; and heals it
#[derive(Parser)]
#[command(
    after_help = "Less than a third of the validators may fail. Nobody may fork, who cannot close a height has to say so, and in the end everything \
                  has to be decided everywhere.\n\n\
                  Examples:\n  \
                  conclave sim partitions\n  \
                  conclave sim partitions --validators 7 --every 50\n  \
                  conclave sim partitions --number 300 --trace --svg partition-300.svg"
)]
pub(crate) struct Partitions {
    /// Validators
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(3..=16))]
    validators: u16,
    /// How many of them may fail [default: less than a third]
    #[arg(long, value_name = "NUMBER")]
    faulty: Option<u16>,
    /// Run one of so many partitions only
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Run the partition with this number alone
    #[arg(long, value_name = "NUMBER", conflicts_with = "every")]
    number: Option<usize>,
    #[command(flatten)]
    view: View,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,
}

#[derive(Serialize)]
struct Report {
    validators: u16,
    faulty: u16,
    cuts: usize,
    moments: usize,
    runs: usize,
    /// Runs in which somebody said that it cannot close a height.
    halts: usize,
    failures: Vec<String>,
    /// The command that shows the first failure again.
    replay: Option<String>,
    seconds: f64,
}

impl Partitions {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let validators = self.validators;
        let faulty = self.faulty.unwrap_or(validators.saturating_sub(1) / 3);
        if 3 * faulty >= validators {
            return Err(Failure::new(format!(
                "--faulty {faulty}: a cut is borne only where less than a third of {validators} validators may fail"
            )));
        }
        let sweep = Sweep { validators: usize::from(validators), faulty };
        if let Some(number) = self.number {
            return self.replay(session, &sweep, number);
        }
        self.view.needs("--number")?;
        let all: Vec<Partition> = sweep.partitions().into_iter().step_by(self.every as usize).collect();
        let results = Mutex::new((0, Vec::new()));
        let start = Instant::now();
        batch::each(&all, batch::threads(self.threads), |partition| {
            let aftermath = sweep.run(partition);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.0 += usize::from(aftermath.halted > 0);
            let failure = objections(&aftermath.violations, &aftermath.silent).into_iter().next();
            results.1.extend(failure.map(|failure| (partition.number, format!("{partition}: {failure}"))));
        });
        let seconds = start.elapsed().as_secs_f64();
        let (halts, mut failures) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        failures.sort();
        let first = failures.first().map(|(number, _)| {
            format!(
                "conclave sim partitions --validators {validators} --faulty {faulty} --number {number} --trace"
            )
        });
        let moments = [false, true].map(|down| sweep.moments(down).len()).iter().sum();
        let report = Report {
            validators,
            faulty,
            cuts: (1 << (validators - 1)) - 1,
            moments,
            runs: all.len(),
            halts,
            failures: failures.into_iter().map(|(_, failure)| failure).collect(),
            replay: first,
            seconds,
        };
        session.output.show(&report, text)?;
        match report.failures.len() {
            0 => Ok(()),
            failed => Err(Failure::new(format!("{failed} partitions broke what is promised"))),
        }
    }

    fn replay(&self, session: &Session, sweep: &Sweep, number: usize) -> Outcome {
        let all = sweep.partitions();
        let Some(partition) = all.get(number) else {
            let last = all.len() - 1;
            return Err(Failure::new(format!("--number {number}: partitions are numbered from 0 to {last}")));
        };
        let scenario = sweep.scenario(partition);
        let witness = Witness::new(&scenario);
        self.view.show(session, partition.to_string(), &scenario, witness, |witness| {
            objections(&[], witness.silent())
        })
    }
}

/// What was wrong with a partition, in words.
fn objections(violations: &[Violation], silent: &[usize]) -> Vec<String> {
    let silent = silent.iter().map(|host| format!("host {host} could not close and did not say so"));
    violations.iter().map(ToString::to_string).chain(silent).collect()
}

fn text(report: &Report) -> String {
    let Report { validators, faulty, cuts, moments, runs, halts, seconds, .. } = report;
    let mut text = String::new();
    for failure in report.failures.iter().take(MAX_SHOWN) {
        text.push_str(&format!("{failure}\n"));
    }
    if let Some(replay) = &report.replay {
        text.push_str(&format!("replay with: {replay}\n"));
    }
    let failed = report.failures.len();
    text + &format!(
        "{validators} validators of which {faulty} may fail, {cuts} cuts, {moments} moments: {runs} runs in {seconds:.0} s, \
         in {halts} of them somebody halted and said so; {failed} broke what is promised"
    )
}
