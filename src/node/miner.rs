//! The search for nonces, on threads of its own, so that the loop goes on meanwhile.
//!
//! One header is searched for at a time. Another one ends the search before: its threads look every
//! [`ATTEMPTS_AT_ONCE`], which is within a few milliseconds. Each thread begins in its own part of the numbers.

use conclave_ledger::{block::Header, proof_of_work::SealSearch};
use conclave_protocol::node::Input;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedSender;

/// Attempts between two looks at whether the search is still wanted.
const ATTEMPTS_AT_ONCE: u64 = 1 << 13;

/// Time over which the hash rate is measured.
const RATE_OVER: Duration = Duration::from_secs(5);

/// The threads, and what they have done.
pub(super) struct Miner {
    threads: usize,
    found: UnboundedSender<Input>,
    running: Option<Arc<Search>>,
    hashes: Arc<AtomicU64>,
    measured: (Instant, u64),
    rate: f64,
}

/// What the threads of one search share.
struct Search {
    ticket: u64,
    is_over: AtomicBool,
    hashes: Arc<AtomicU64>,
}

impl Miner {
    /// A miner that gives what it finds to `found`.
    pub(super) fn new(threads: usize, found: UnboundedSender<Input>) -> Self {
        Self {
            threads,
            found,
            running: None,
            hashes: Arc::default(),
            measured: (Instant::now(), 0),
            rate: 0.0,
        }
    }

    /// Searches for the nonce of this header, and of no other any more.
    pub(super) fn mine(&mut self, ticket: u64, header: &Header) {
        self.stop();
        let Some(search) = SealSearch::new(header) else { return };
        let shared =
            Arc::new(Search { ticket, is_over: AtomicBool::new(false), hashes: self.hashes.clone() });
        self.running = Some(shared.clone());
        for thread in 0..self.threads {
            let (mut search, shared, found) = (search.clone(), shared.clone(), self.found.clone());
            let start = (u64::MAX / self.threads as u64).wrapping_mul(thread as u64);
            tokio::task::spawn_blocking(move || shared.run(&mut search, start, &found));
        }
    }

    /// Stops searching.
    pub(super) fn stop(&mut self) {
        if let Some(search) = self.running.take() {
            search.is_over.store(true, Ordering::Relaxed);
        }
    }

    /// Whether something is searched for.
    pub(super) fn is_mining(&self) -> bool {
        self.running.as_ref().is_some_and(|search| !search.is_over.load(Ordering::Relaxed))
    }

    /// Hashes since the start.
    pub(super) fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// Hashes in a second, over the last seconds; idle time counts.
    pub(super) fn rate(&mut self) -> f64 {
        let (since, before) = self.measured;
        if since.elapsed() >= RATE_OVER {
            let now = self.hashes();
            self.rate = (now - before) as f64 / since.elapsed().as_secs_f64();
            self.measured = (Instant::now(), now);
        }
        self.rate
    }
}

impl Drop for Miner {
    /// The runtime waits for its blocking threads when the node stops.
    fn drop(&mut self) {
        self.stop();
    }
}

impl Search {
    fn run(&self, search: &mut SealSearch, mut next: u64, found: &UnboundedSender<Input>) {
        while !self.is_over.load(Ordering::Relaxed) {
            let nonce = search.find(next, ATTEMPTS_AT_ONCE);
            let attempts = nonce.map_or(ATTEMPTS_AT_ONCE, |nonce| nonce.wrapping_sub(next) + 1);
            self.hashes.fetch_add(attempts, Ordering::Relaxed);
            next = next.wrapping_add(ATTEMPTS_AT_ONCE);
            if let Some(nonce) = nonce {
                if !self.is_over.swap(true, Ordering::Relaxed) {
                    // Without a receiver the node is stopping.
                    let _ = found.send(Input::Mined { ticket: self.ticket, nonce });
                }
                return;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use conclave_ledger::{
        hash::Hash,
        keys::PublicKey,
        proof_of_work::{Nonce, Seal, Target},
    };
    use tokio::sync::mpsc;

    fn header(bits: u8) -> Header {
        let target = Target::of_leading_zero_bits(bits).compact();
        Header {
            network: Hash([1; 32]),
            height: 7,
            parent: Hash([2; 32]),
            leader: PublicKey([3; 32]),
            timestamp: 4,
            state: Hash([5; 32]),
            proofs: Hash([6; 32]),
            transactions: Hash([7; 32]),
            work: Some(Seal { target, nonce: Nonce([0; 8]) }),
        }
    }

    #[tokio::test]
    async fn what_is_found_meets_the_target_and_another_header_ends_the_search() {
        let (sender, mut found) = mpsc::unbounded_channel();
        let mut miner = Miner::new(2, sender);
        assert!(!miner.is_mining());
        // More than can be done: only another one ends it.
        miner.mine(1, &header(200));
        assert!(miner.is_mining());
        miner.mine(2, &header(12));
        let Some(Input::Mined { ticket: 2, nonce }) = found.recv().await else { panic!() };
        let mut sealed = header(12);
        sealed.work.as_mut().unwrap().nonce = Nonce(nonce.to_be_bytes());
        assert!(Target::of_leading_zero_bits(12).is_met_by(&sealed.hash()));
        assert!(miner.hashes() > 0);
        miner.mine(3, &header(200));
        drop(miner);
        assert!(found.recv().await.is_none(), "no thread is left");
    }
}
