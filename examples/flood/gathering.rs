//! Who floods begins when all are inside: each has to do work for its place, and they share a processor.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How long it is waited for those who have not come in.
const PATIENCE: Duration = Duration::from_secs(150);

/// All who flood.
pub(crate) struct Gathering {
    since: Instant,
    missing: AtomicUsize,
    lasts: Duration,
    end: OnceLock<Instant>,
}

impl Gathering {
    /// So many, who flood for so long once they are inside.
    pub(crate) fn new(members: usize, lasts: Duration) -> Self {
        Self { since: Instant::now(), missing: AtomicUsize::new(members), lasts, end: OnceLock::new() }
    }

    /// One more is inside.
    pub(crate) fn enter(&self) {
        self.missing.fetch_sub(1, Ordering::Relaxed);
    }

    /// When the flood ends, if it has begun.
    pub(crate) fn end(&self) -> Option<Instant> {
        let has_begun = self.missing.load(Ordering::Relaxed) == 0 || self.since.elapsed() > PATIENCE;
        has_begun.then(|| {
            *self.end.get_or_init(|| {
                eprintln!("the flood begins");
                Instant::now() + self.lasts
            })
        })
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.end().is_some_and(|end| end <= Instant::now())
    }
}
