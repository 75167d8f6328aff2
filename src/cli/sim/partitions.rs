//! `conclave sim partitions`: every cut, after every event of a height.

use super::batch;
use crate::cli::{
    failure::{Failure, Outcome},
    session::Session,
};
use clap::Parser;
use conclave_simulator::partitions::{Aftermath, Partition, Sweep};
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
                  conclave sim partitions --validators 7 --every 50"
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
        let all: Vec<Partition> = sweep.partitions().into_iter().step_by(self.every as usize).collect();
        let results = Mutex::new((0, Vec::new()));
        let start = Instant::now();
        batch::each(&all, batch::threads(self.threads), |partition| {
            let aftermath = sweep.run(partition);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.0 += usize::from(aftermath.halted > 0);
            results.1.extend(failure(partition, &aftermath).map(|failure| (partition.number, failure)));
        });
        let seconds = start.elapsed().as_secs_f64();
        let (halts, mut failures) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        failures.sort();
        let moments = [false, true].map(|down| sweep.moments(down).len()).iter().sum();
        let report = Report {
            validators,
            faulty,
            cuts: (1 << (validators - 1)) - 1,
            moments,
            runs: all.len(),
            halts,
            failures: failures.into_iter().map(|(_, failure)| failure).collect(),
            seconds,
        };
        session.output.show(&report, text)?;
        match report.failures.len() {
            0 => Ok(()),
            failed => Err(Failure::new(format!("{failed} partitions broke what is promised"))),
        }
    }
}

fn failure(partition: &Partition, aftermath: &Aftermath) -> Option<String> {
    let silent =
        aftermath.silent.iter().map(|host| format!("host {host} could not close and did not say so"));
    let what = aftermath.violations.iter().map(ToString::to_string).chain(silent).next()?;
    Some(format!("{partition:?}: {what}"))
}

fn text(report: &Report) -> String {
    let Report { validators, faulty, cuts, moments, runs, halts, seconds, .. } = report;
    let mut text = String::new();
    for failure in report.failures.iter().take(MAX_SHOWN) {
        text.push_str(&format!("{failure}\n"));
    }
    let failed = report.failures.len();
    text + &format!(
        "{validators} validators of which {faulty} may fail, {cuts} cuts, {moments} moments: {runs} runs in {seconds:.0} s, \
         in {halts} of them somebody halted and said so; {failed} broke what is promised"
    )
}
