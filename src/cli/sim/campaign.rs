//! Many seeds, on all cores.

use super::Sim;
use crate::cli::{
    failure::{Failure, Outcome},
    output::{self, table},
    session::Session,
};
use conclave_simulator::{draw::Family, run};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Most violations that are shown.
const MAX_SHOWN: usize = 20;

#[derive(Serialize)]
struct Report {
    validators: u16,
    faulty: u16,
    plain: bool,
    families: Vec<FamilyReport>,
    violations: Vec<Found>,
    seconds: f64,
    runs_per_second: f64,
}

#[derive(Clone, Default, Serialize)]
struct FamilyReport {
    family: &'static str,
    runs: u64,
    heights: u64,
    events: u64,
    violated: u64,
}

#[derive(Clone, Serialize)]
struct Found {
    family: &'static str,
    seed: u64,
    violation: String,
}

impl Sim {
    pub(super) fn campaign(&self, session: &Session) -> Outcome {
        let (validators, faulty) = (self.network.validators, self.network.faulty()?);
        let applies = |family: &Family| family.applies(usize::from(validators), faulty, !self.network.plain);
        let wanted = if self.family.is_empty() { Family::ALL.to_vec() } else { self.family.clone() };
        if let Some(family) =
            wanted.iter().find(|family| !applies(family)).filter(|_| !self.family.is_empty())
        {
            return Err(Failure::new(format!(
                "in the family {} nothing is promised for {validators} validators of which {faulty} may be faulty",
                family.name()
            )));
        }
        let families: Vec<Family> = wanted.into_iter().filter(applies).collect();
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into));
        let progress = progress(self.runs);
        let start = Instant::now();
        let next = AtomicU64::new(0);
        let reports: Vec<FamilyReport> = families
            .iter()
            .map(|family| FamilyReport { family: family.name(), ..FamilyReport::default() })
            .collect();
        let result = Mutex::new((reports, Vec::<Found>::new()));
        std::thread::scope(|scope| {
            for _ in 0..threads.unwrap_or(1).max(1) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.runs {
                            break;
                        }
                        let index = (number % families.len() as u64) as usize;
                        let seed = self.first_seed + number / families.len() as u64;
                        let family = families[index];
                        let scenario =
                            family.draw(seed, usize::from(validators), faulty, !self.network.plain);
                        // Whatever a machine is fed it must not panic; should one, that is what was found.
                        let run = catch_unwind(AssertUnwindSafe(|| run::run(&scenario)));
                        progress.inc(1);
                        let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
                        let report = &mut result.0[index];
                        report.runs += 1;
                        let violation = match run {
                            Ok(run) => {
                                report.heights += run.outcome.height;
                                report.events += run.outcome.events;
                                run.violations.first().map(ToString::to_string)
                            }
                            Err(_) => Some("a machine panicked".to_owned()),
                        };
                        report.violated += u64::from(violation.is_some());
                        let found =
                            violation.map(|violation| Found { family: family.name(), seed, violation });
                        result.1.extend(found);
                    }
                });
            }
        });
        progress.finish_and_clear();
        let (families, mut violations) = result.into_inner().unwrap_or_else(PoisonError::into_inner);
        violations.sort_by_key(|found| (found.family, found.seed));
        let seconds = start.elapsed().as_secs_f64();
        let plain = self.network.plain;
        let runs_per_second = self.runs as f64 / seconds.max(1e-9);
        let report = Report { validators, faulty, plain, families, violations, seconds, runs_per_second };
        session.output.show(&report, text)?;
        match report.families.iter().map(|family| family.violated).sum::<u64>() {
            0 => Ok(()),
            violated => Err(Failure::new(format!("{violated} runs broke what is promised"))),
        }
    }
}

fn progress(runs: u64) -> ProgressBar {
    let target =
        if output::is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(runs), target);
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} runs, {per_sec}, {eta} left");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn text(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .families
        .iter()
        .map(|family| {
            let counts = [family.runs, family.heights, family.events, family.violated];
            [family.family.to_owned()].into_iter().chain(counts.map(|count| count.to_string())).collect()
        })
        .collect();
    let mut text = table(&["FAMILY", "RUNS", "HEIGHTS", "EVENTS", "VIOLATIONS"], &rows);
    for found in report.violations.iter().take(MAX_SHOWN) {
        text.push_str(&format!("{} {}: {}\n", found.family, found.seed, found.violation));
    }
    if let Some(first) = report.violations.first() {
        let plain = if report.plain { " --plain" } else { "" };
        text.push_str(&format!(
            "replay with: conclave sim --validators {} --faulty {}{plain} --family {} --seed {} --trace\n",
            report.validators, report.faulty, first.family, first.seed
        ));
    }
    let runs: u64 = report.families.iter().map(|family| family.runs).sum();
    text + &format!(
        "{} validators, {} of them may be faulty: {runs} runs in {:.1} s, {:.0} runs per second",
        report.validators, report.faulty, report.seconds, report.runs_per_second
    )
}
