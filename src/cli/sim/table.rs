//! `conclave sim table`: every number of validators, every number of faulty ones, both modes.

use super::batch::{self, Cell, Found, Tally};
use crate::cli::{
    failure::{Failure, Outcome},
    session::Session,
};
use clap::Parser;
use conclave_simulator::draw::Family;
use serde::Serialize;
use std::{ops::RangeInclusive, time::Instant};

/// The number of validators of which `--runs` speaks; a run of a larger network costs about the square of its size.
const REFERENCE: u64 = 4;

/// Fewest runs of a cell and family.
const LEAST_RUNS: u64 = 4;

/// Simulates every number of faulty validators, with and without certificates; a Markdown table of what came of it
#[derive(Parser)]
#[command(
    after_help = "In each cell, all families in which something is promised get their share of the runs. A larger network gets fewer, as \
                  a run of it costs about the square of its size.\n\n\
                  Examples:\n  \
                  conclave sim table\n  \
                  conclave sim table --validators 4-7 --runs 2000"
)]
pub(crate) struct Table {
    /// Numbers of validators: one, or FIRST-LAST
    #[arg(long, value_name = "NUMBERS", default_value = "3-13", value_parser = parse_sizes)]
    validators: RangeInclusive<u16>,
    /// Runs of each cell for four validators; others get fewer or more, by the square of their number
    #[arg(long, value_name = "NUMBER", default_value_t = 400)]
    runs: u64,
    /// The first seed of each family
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first_seed: u64,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,
}

#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
    violations: Vec<Found>,
    seconds: f64,
}

/// All `f` of one `n` and mode.
#[derive(Serialize)]
struct Row {
    validators: u16,
    plain: bool,
    /// By `f`, from 0.
    cells: Vec<Counts>,
    runs_per_second: f64,
}

#[derive(Default, Serialize)]
struct Counts {
    runs: u64,
    heights: u64,
    violated: usize,
}

impl Table {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let threads = batch::threads(self.threads);
        let cells = self.cells();
        let start = Instant::now();
        let tallies = batch::run(&cells, threads);
        let seconds = start.elapsed().as_secs_f64();
        let done: Vec<(Cell, Tally)> = cells.into_iter().zip(tallies).collect();
        let modes = || [false, true].into_iter();
        let rows = modes().flat_map(|plain| self.validators.clone().map(move |n| (n, plain)));
        let report = Report {
            rows: rows.map(|(validators, plain)| row(validators, plain, &done, threads)).collect(),
            violations: done.iter().flat_map(|(_, tally)| tally.found.iter().cloned()).collect(),
            seconds,
        };
        session.output.show(&report, text)?;
        match report.violations.len() {
            0 => Ok(()),
            violated => Err(Failure::new(format!("{violated} runs broke what is promised"))),
        }
    }

    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for validators in self.validators.clone() {
            let size = u64::from(validators);
            let runs = (self.runs * REFERENCE * REFERENCE).div_ceil(size * size);
            for (faulty, plain) in (0..validators).flat_map(|faulty| [(faulty, false), (faulty, true)]) {
                let families: Vec<Family> = Family::OF_VALIDATORS
                    .into_iter()
                    .filter(|family| family.applies(size as usize, faulty, !plain))
                    .collect();
                let runs = runs.div_ceil(families.len().max(1) as u64).max(LEAST_RUNS);
                let first_seed = self.first_seed;
                let cell = |family| Cell { validators, faulty, plain, family, first_seed, runs };
                cells.extend(families.into_iter().map(cell));
            }
        }
        cells
    }
}

fn row(validators: u16, plain: bool, done: &[(Cell, Tally)], threads: usize) -> Row {
    let of_row = || done.iter().filter(|(cell, _)| (cell.validators, cell.plain) == (validators, plain));
    let mut cells: Vec<Counts> = (0..validators).map(|_| Counts::default()).collect();
    for (cell, tally) in of_row() {
        let counts = &mut cells[usize::from(cell.faulty)];
        counts.runs += tally.runs;
        counts.heights += tally.heights;
        counts.violated += tally.found.len();
    }
    let runs: u64 = cells.iter().map(|counts| counts.runs).sum();
    let took: f64 = of_row().map(|(_, tally)| tally.took.as_secs_f64()).sum();
    Row { validators, plain, cells, runs_per_second: runs as f64 * threads as f64 / took.max(1e-9) }
}

fn text(report: &Report) -> String {
    let most = report.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let mut text = String::new();
    for plain in [false, true] {
        let mode = if plain { "Plain mode" } else { "Fast mode" };
        let faulty: Vec<String> = (0..most).map(|faulty| format!("f={faulty}")).collect();
        text.push_str(&format!(
            "{mode}: runs, heights that were decided in them, and violations, if any\n\n| n | {} | violations | runs/s |\n|{}\n",
            faulty.join(" | "),
            "---|".repeat(most + 3)
        ));
        for row in report.rows.iter().filter(|row| row.plain == plain) {
            let mut cells: Vec<String> = row.cells.iter().map(cell_text).collect();
            cells.resize(most, String::new());
            let violated: usize = row.cells.iter().map(|counts| counts.violated).sum();
            text.push_str(&format!(
                "| {} | {} | {violated} | {:.0} |\n",
                row.validators,
                cells.join(" | "),
                row.runs_per_second
            ));
        }
        text.push('\n');
    }
    for found in &report.violations {
        text.push_str(&format!("{}\n  {}\n", found.violation, found.replay()));
    }
    let cells = || report.rows.iter().flat_map(|row| &row.cells);
    let (runs, heights) =
        cells().fold((0, 0), |(runs, heights), counts| (runs + counts.runs, heights + counts.heights));
    text + &format!("{runs} runs, {heights} heights in {:.0} s", report.seconds)
}

fn cell_text(counts: &Counts) -> String {
    let violated = match counts.violated {
        0 => String::new(),
        violated => format!(" **{violated}!**"),
    };
    format!("{}: {}{violated}", counts.runs, counts.heights)
}

fn parse_sizes(text: &str) -> Result<RangeInclusive<u16>, String> {
    let number = |text: &str| text.parse::<u16>().map_err(|error| format!("{text:?} is no number: {error}"));
    let sizes = match text.split_once('-') {
        Some((first, last)) => number(first)?..=number(last)?,
        None => number(text).map(|size| size..=size)?,
    };
    match sizes.is_empty() || *sizes.start() == 0 || *sizes.end() > 64 {
        true => Err("expected a number of 1 to 64, or two, the smaller first".to_owned()),
        false => Ok(sizes),
    }
}
