//! Many seeds of one network.

use super::{
    Sim,
    batch::{self, Cell, Found},
};
use crate::cli::{
    failure::{Failure, Outcome},
    output::table,
    session::Session,
};
use conclave_simulator::draw::Family;
use serde::Serialize;
use std::time::Instant;

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

#[derive(Serialize)]
struct FamilyReport {
    family: &'static str,
    runs: u64,
    heights: u64,
    events: u64,
    violated: usize,
}

impl Sim {
    pub(super) fn campaign(&self, session: &Session) -> Outcome {
        let (validators, faulty, plain) =
            (self.network.validators, self.network.faulty()?, self.network.plain);
        let families = self.families(validators, faulty)?;
        let share = |place: u64| {
            let count = families.len() as u64;
            self.runs / count + u64::from(place < self.runs % count)
        };
        let first_seed = self.first_seed;
        let cell = |(place, family): (usize, &Family)| {
            let (family, runs) = (*family, share(place as u64));
            Cell { validators, faulty, plain, family, first_seed, runs }
        };
        let cells: Vec<Cell> = families.iter().enumerate().map(cell).collect();
        let start = Instant::now();
        let tallies = batch::run(&cells, batch::threads(self.threads));
        let seconds = start.elapsed().as_secs_f64();
        let of_family = |(family, tally): (&Family, &batch::Tally)| FamilyReport {
            family: family.name(),
            runs: tally.runs,
            heights: tally.heights,
            events: tally.events,
            violated: tally.found.len(),
        };
        let report = Report {
            validators,
            faulty,
            plain,
            families: families.iter().zip(&tallies).map(of_family).collect(),
            violations: tallies.into_iter().flat_map(|tally| tally.found).collect(),
            seconds,
            runs_per_second: self.runs as f64 / seconds.max(1e-9),
        };
        session.output.show(&report, text)?;
        match report.violations.len() {
            0 => Ok(()),
            violated => Err(Failure::new(format!("{violated} runs broke what is promised"))),
        }
    }

    /// The families that were asked for, or all in which something is promised.
    fn families(&self, validators: u16, faulty: u16) -> Outcome<Vec<Family>> {
        let applies = |family: &Family| family.applies(usize::from(validators), faulty, !self.network.plain);
        if self.family.is_empty() {
            return Ok(Family::OF_VALIDATORS.into_iter().filter(applies).collect());
        }
        match self.family.iter().find(|family| !applies(family)) {
            None => Ok(self.family.clone()),
            Some(family) => Err(Failure::new(format!(
                "in the family {} nothing is promised for {validators} validators of which {faulty} may be faulty",
                family.name()
            ))),
        }
    }
}

fn text(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .families
        .iter()
        .map(|family| {
            let counts = [family.runs, family.heights, family.events, family.violated as u64];
            [family.family.to_owned()].into_iter().chain(counts.map(|count| count.to_string())).collect()
        })
        .collect();
    let mut text = table(&["FAMILY", "RUNS", "HEIGHTS", "EVENTS", "VIOLATIONS"], &rows);
    for found in report.violations.iter().take(MAX_SHOWN) {
        text.push_str(&format!("{} {}: {}\n", found.family, found.seed, found.violation));
    }
    if let Some(first) = report.violations.first() {
        text.push_str(&format!("replay with: {}\n", first.replay()));
    }
    let runs: u64 = report.families.iter().map(|family| family.runs).sum();
    text + &format!(
        "{} validators, {} of them may be faulty: {runs} runs in {:.1} s, {:.0} runs per second",
        report.validators, report.faulty, report.seconds, report.runs_per_second
    )
}
