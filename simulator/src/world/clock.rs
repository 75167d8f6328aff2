//! The clocks of a host, which run a little wrong.

use conclave_protocol::{node::Clock, time::Time};
use std::time::Duration;

/// When the true time of the world begins, in milliseconds since 1970.
pub(super) const EPOCH_MS: u64 = 1_800_000_000_000;

/// A host's two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostClock {
    /// When its process started, in true time.
    pub(super) started: Time,
    /// Error of the monotonic clock, in millionths.
    pub(super) drift: i64,
    /// Error of the calendar clock, in milliseconds.
    pub(super) offset_ms: i64,
}

impl HostClock {
    /// What the clocks show at a moment of true time.
    pub(super) fn at(&self, now: Time) -> Clock {
        let elapsed = now.since(self.started).as_micros() as i64;
        let shown = elapsed + elapsed * self.drift / 1_000_000;
        let since_epoch = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX).saturating_add(self.offset_ms);
        Clock { time: Time(shown.max(0) as u64), unix_ms: EPOCH_MS.saturating_add_signed(since_epoch) }
    }

    /// The moment of true time at which the monotonic clock shows `due`, rounded up.
    pub(super) fn when(&self, due: Time) -> Time {
        let shown = i64::try_from(due.0).unwrap_or(i64::MAX / 2).min(i64::MAX / 2_000_000);
        let elapsed = shown * 1_000_000 / (1_000_000 + self.drift);
        let mut at = self.started + Duration::from_micros(elapsed.max(0) as u64);
        while self.at(at).time < due && due.0 < i64::MAX as u64 / 2_000_000 {
            at = at + Duration::from_micros(1);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_due_when_it_is_said_to_be() {
        for drift in [-200, 0, 137, 100_000] {
            let clock = HostClock { started: Time(12_345), drift, offset_ms: -20 };
            for due in [0, 1, 999, 1_000_000, 77_777_777_777] {
                let at = clock.when(Time(due));
                assert!(clock.at(at).time >= Time(due), "{drift} {due}");
                assert!(clock.at(Time(at.0 - 2)).time <= Time(due), "{drift} {due}");
            }
        }
    }
}
