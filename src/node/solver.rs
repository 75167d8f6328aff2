//! The search for proofs of work, on threads of its own, so that the loop goes on meanwhile.

use conclave_protocol::{admission::Puzzle, node::Input};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedSender;

/// Attempts between two looks at whether the search is still wanted: some milliseconds.
const ATTEMPTS_AT_ONCE: u64 = 1 << 14;

/// Most threads of one search.
const MAX_THREADS: usize = 4;

/// Time between two lines in the log.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// The searches that are under way.
pub(super) struct Solver {
    running: BTreeMap<u64, Arc<Search>>,
    found: UnboundedSender<Input>,
    threads: usize,
}

/// What the threads of one search share.
struct Search {
    ticket: u64,
    puzzle: Puzzle,
    is_over: AtomicBool,
    attempts: AtomicU64,
    start: Instant,
}

impl Solver {
    /// A solver that gives its solutions to `found`. Each search takes half of the cores: two run at once.
    pub(super) fn new(found: UnboundedSender<Input>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { running: BTreeMap::new(), found, threads: (cores / 2).clamp(1, MAX_THREADS) }
    }

    /// Begins a search.
    pub(super) fn solve(&mut self, ticket: u64, puzzle: Puzzle) {
        self.running.retain(|_, search| !search.is_over.load(Ordering::Relaxed));
        let (is_over, attempts) = (AtomicBool::new(false), AtomicU64::new(0));
        let search = Arc::new(Search { ticket, puzzle, is_over, attempts, start: Instant::now() });
        self.running.insert(ticket, search.clone());
        for thread in 0..self.threads {
            let (search, found) = (search.clone(), self.found.clone());
            // Each begins elsewhere and never gets to the place where the next began.
            let start = u64::MAX / self.threads as u64 * thread as u64;
            tokio::task::spawn_blocking(move || search.run(start, thread == 0, &found));
        }
    }

    /// Gives a search up.
    pub(super) fn cancel(&mut self, ticket: u64) {
        if let Some(search) = self.running.remove(&ticket) {
            search.is_over.store(true, Ordering::Relaxed);
            tracing::debug!(ticket, "a proof of work is given up");
        }
    }
}

impl Drop for Solver {
    /// The runtime waits for its blocking threads when the node stops.
    fn drop(&mut self) {
        self.running.values().for_each(|search| search.is_over.store(true, Ordering::Relaxed));
    }
}

impl Search {
    fn run(&self, mut next: u64, tells: bool, found: &UnboundedSender<Input>) {
        let mut search = self.puzzle.search();
        let mut told = self.start;
        while !self.is_over.load(Ordering::Relaxed) {
            let solution = search.attempt(next, ATTEMPTS_AT_ONCE);
            next = next.wrapping_add(ATTEMPTS_AT_ONCE);
            let attempts = self.attempts.fetch_add(ATTEMPTS_AT_ONCE, Ordering::Relaxed) + ATTEMPTS_AT_ONCE;
            if let Some(solution) = solution {
                if !self.is_over.swap(true, Ordering::Relaxed) {
                    tracing::debug!(ticket = self.ticket, attempts, seconds = self.seconds(), "work is done");
                    // Without a receiver the node is stopping.
                    let _ = found.send(Input::Solved { ticket: self.ticket, solution });
                }
                return;
            }
            if tells && told.elapsed() >= PROGRESS_INTERVAL {
                told = Instant::now();
                self.tell(attempts);
            }
        }
    }

    fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// The line of progress: nobody knows how far it is, only how far it is on average.
    fn tell(&self, attempts: u64) {
        let expected = 2f64.powi(i32::from(self.puzzle.bits));
        let megahashes = attempts as f64 / self.seconds() / 1e6;
        tracing::info!(
            bits = self.puzzle.bits,
            megahashes_per_second = format!("{megahashes:.1}"),
            of_the_expected_work = format!("{:.0} %", attempts as f64 / expected * 100.0),
            "working for a peer ({:?})",
            self.puzzle.purpose
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use conclave_ledger::hash::Hash;
    use conclave_protocol::{admission::Purpose, peer::Peer};
    use tokio::sync::mpsc;

    fn puzzle(bits: u8) -> Puzzle {
        let peer = |number| Peer::from_bytes(&[number; 38]).unwrap();
        let (purpose, network) = (Purpose::Admission, Hash([1; 32]));
        Puzzle { purpose, network, verifier: peer(1), prover: peer(2), nonce: 7, bits }
    }

    #[tokio::test]
    async fn a_search_finds_once_and_a_cancelled_one_ends() {
        let (sender, mut found) = mpsc::unbounded_channel();
        let mut solver = Solver::new(sender);
        solver.solve(1, puzzle(12));
        let Some(Input::Solved { ticket: 1, solution }) = found.recv().await else { panic!() };
        assert!(puzzle(12).is_solved_by(solution));
        // More than can be done: only giving it up ends it, and the channel closes when no thread holds it.
        solver.solve(2, puzzle(48));
        solver.cancel(2);
        solver.solve(3, puzzle(48));
        drop(solver);
        assert!(found.recv().await.is_none());
    }
}
