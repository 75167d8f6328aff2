//! Bursts: what is done again and again, from the first peer on, for a while.

use super::Moment;
use conclave_protocol::time::Time;
use std::time::Duration;

/// When the next burst is.
pub(super) struct Bursts {
    interval: Duration,
    /// How many are left.
    left: u32,
    has_begun: bool,
    next: Option<Time>,
}

impl Bursts {
    /// So many bursts, this far from each other.
    pub(super) fn new(count: u32, interval: Duration) -> Self {
        Self { interval, left: count, has_begun: false, next: None }
    }

    /// They begin with the first peer that there is.
    pub(super) fn begin(&mut self, at: &Moment<'_>) {
        if !self.has_begun && !at.node.peers().is_empty() {
            self.has_begun = true;
            self.next = Some(at.now() + self.interval);
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.next
    }

    /// Whether one is due now; then the next one is later, or was the last.
    pub(super) fn take(&mut self, now: Time) -> bool {
        let is_due = self.next.is_some_and(|next| next <= now);
        if is_due {
            self.left = self.left.saturating_sub(1);
            self.next = (self.left > 0).then(|| now + self.interval);
        }
        is_due
    }
}
