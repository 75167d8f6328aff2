//! Many runs on all cores: one seed after the other of each cell, all cells in turn.

use crate::cli::output;
use conclave_simulator::{draw::Family, run};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Runs of one kind: their seeds follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) validators: u16,
    pub(super) faulty: u16,
    pub(super) plain: bool,
    pub(super) family: Family,
    pub(super) first_seed: u64,
    pub(super) runs: u64,
}

/// What the runs of a cell came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) runs: u64,
    pub(super) heights: u64,
    pub(super) events: u64,
    /// Time that its runs took, of all threads together.
    pub(super) took: Duration,
    /// What was violated first in the runs in which something was, by seed.
    pub(super) found: Vec<Found>,
}

/// A run that broke a promise.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Found {
    pub(super) validators: u16,
    pub(super) faulty: u16,
    pub(super) plain: bool,
    pub(super) family: &'static str,
    pub(super) seed: u64,
    pub(super) violation: String,
}

impl Found {
    /// The command that shows the run again.
    pub(super) fn replay(&self) -> String {
        let plain = if self.plain { " --plain" } else { "" };
        let Self { validators, faulty, family, seed, .. } = self;
        format!(
            "conclave sim --validators {validators} --faulty {faulty}{plain} --family {family} --seed {seed} --trace"
        )
    }
}

/// How many threads work: as many as were asked for, or one for each core.
pub(super) fn threads(wanted: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().ok().map(Into::into);
    wanted.or_else(cores).unwrap_or(1).max(1)
}

/// Runs all cells; a tally for each.
pub(super) fn run(cells: &[Cell], threads: usize) -> Vec<Tally> {
    let most = cells.iter().map(|cell| cell.runs).max().unwrap_or(0);
    let jobs: Vec<(usize, u64)> = (0..most)
        .flat_map(|number| {
            let due = cells.iter().enumerate().filter(move |(_, cell)| number < cell.runs);
            due.map(move |(index, cell)| (index, cell.first_seed + number))
        })
        .collect();
    let tallies = Mutex::new(vec![Tally::default(); cells.len()]);
    each(&jobs, threads, |(index, seed)| {
        let start = Instant::now();
        let outcome = one(&cells[*index], *seed);
        let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies[*index].add(outcome, start.elapsed());
    });
    let mut tallies = tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
    tallies.iter_mut().for_each(|tally| tally.found.sort_by_key(|found| found.seed));
    tallies
}

/// Heights and events of a run, or what it violated.
fn one(cell: &Cell, seed: u64) -> (u64, u64, Option<Found>) {
    let Cell { validators, faulty, plain, family, .. } = *cell;
    let scenario = family.draw(seed, usize::from(validators), faulty, !plain);
    let found = |violation| Found { validators, faulty, plain, family: family.name(), seed, violation };
    // Whatever a machine is fed it must not panic; should one, that is what was found.
    match catch_unwind(AssertUnwindSafe(|| run::run(&scenario))) {
        Ok(run) => {
            let violation = run.violations.first().map(|violation| found(violation.to_string()));
            (run.outcome.height, run.outcome.events, violation)
        }
        Err(_) => (0, 0, Some(found("a machine panicked".to_owned()))),
    }
}

impl Tally {
    fn add(&mut self, (heights, events, found): (u64, u64, Option<Found>), took: Duration) {
        self.runs += 1;
        self.heights += heights;
        self.events += events;
        self.took += took;
        self.found.extend(found);
    }
}

/// Does something for each job, in order, as many at once as there are threads; people who watch see how far it is.
pub(super) fn each<J: Sync>(jobs: &[J], threads: usize, work: impl Fn(&J) + Sync) {
    let progress = progress(jobs.len() as u64);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(job);
                    progress.inc(1);
                }
            });
        }
    });
    progress.finish_and_clear();
}

fn progress(runs: u64) -> ProgressBar {
    let target =
        if output::is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(runs), target);
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} runs, {per_sec}, {eta} left");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
