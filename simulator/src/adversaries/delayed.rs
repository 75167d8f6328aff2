//! Effects that wait for their moment.

use conclave_protocol::{node::Effect, time::Time};
use std::collections::BTreeMap;

/// Most effects that wait; what comes beyond is lost.
pub(super) const MAX_DELAYED: usize = 4096;

/// Most bytes that wait; what comes beyond is lost.
pub(super) const MAX_DELAYED_BYTES: usize = 64 << 20;

/// Effects in the order in which they are due, those of one moment in the order in which they came.
#[derive(Default)]
pub(super) struct Delayed {
    waiting: BTreeMap<(Time, u64), Effect>,
    bytes: usize,
    count: u64,
}

impl Delayed {
    pub(super) fn push(&mut self, due: Time, effect: Effect) {
        let size = size(&effect);
        if self.waiting.len() < MAX_DELAYED && self.bytes + size <= MAX_DELAYED_BYTES {
            self.count += 1;
            self.bytes += size;
            self.waiting.insert((due, self.count), effect);
        }
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// What is due.
    pub(super) fn take(&mut self, now: Time) -> Vec<Effect> {
        let later = self.waiting.split_off(&(Time(now.0.saturating_add(1)), 0));
        let due: Vec<Effect> = std::mem::replace(&mut self.waiting, later).into_values().collect();
        self.bytes -= due.iter().map(size).sum::<usize>();
        due
    }
}

fn size(effect: &Effect) -> usize {
    match effect {
        Effect::Send { bytes, .. } => bytes.len(),
        Effect::Request { bytes, .. } | Effect::Respond { bytes, .. } => bytes.len(),
        _ => 0,
    }
}
