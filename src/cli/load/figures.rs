//! What the records of a run took.

use serde::Serialize;
use std::time::Duration;

/// A record that was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// From the first attempt to the receipt.
    pub(super) took: Duration,
    /// When its receipt came, from the start of the run.
    pub(super) at: Duration,
}

/// Counts and times of a run.
pub(super) struct Figures {
    sent: u64,
    times: Vec<Duration>,
    last: Duration,
    longest_pause: Duration,
}

/// What is printed.
#[derive(Serialize)]
pub(super) struct Report {
    /// Records sent.
    sent: u64,
    /// Records decided, with a receipt each.
    decided: u64,
    /// From the start to the last receipt that was waited for.
    seconds: f64,
    /// Times from the first attempt to the receipt, in milliseconds; absent if nothing was decided.
    median_ms: Option<f64>,
    p95_ms: Option<f64>,
    largest_ms: Option<f64>,
    /// Longest time without a receipt, in milliseconds.
    longest_pause_ms: f64,
}

impl Figures {
    /// Of a run that begins.
    pub(super) fn new() -> Self {
        Self { sent: 0, times: Vec::new(), last: Duration::ZERO, longest_pause: Duration::ZERO }
    }

    /// Another record is sent; its number.
    pub(super) fn send(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// A record is decided.
    pub(super) fn note(&mut self, answered: Answered) {
        self.times.push(answered.took);
        self.longest_pause = self.longest_pause.max(answered.at.saturating_sub(self.last));
        self.last = answered.at;
    }

    /// Records that are not decided.
    pub(super) fn open(&self) -> u64 {
        self.sent - self.times.len() as u64
    }

    /// All of it, after `elapsed`.
    pub(super) fn report(&self, elapsed: Duration) -> Report {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len().saturating_sub(1) as f64 * share).round() as usize;
            times.get(index).map(|time| milliseconds(*time))
        };
        Report {
            sent: self.sent,
            decided: self.times.len() as u64,
            seconds: elapsed.as_secs_f64(),
            median_ms: at(0.5),
            p95_ms: at(0.95),
            largest_ms: at(1.0),
            longest_pause_ms: milliseconds(self.longest_pause.max(if self.open() > 0 {
                elapsed.saturating_sub(self.last)
            } else {
                Duration::ZERO
            })),
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// For people.
pub(super) fn describe(report: &Report) -> String {
    let time = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.1} ms"));
    format!(
        "{} of {} records decided in {:.1} s\nfrom submission to receipt: median {}, 95 % {}, largest {}\nlongest time \
         without a receipt: {:.1} ms",
        report.decided,
        report.sent,
        report.seconds,
        time(report.median_ms),
        time(report.p95_ms),
        time(report.largest_ms),
        report.longest_pause_ms,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(times: &[(u64, u64)]) -> Figures {
        let mut figures = Figures::new();
        for (took, at) in times {
            figures.send();
            let (took, at) = (Duration::from_millis(*took), Duration::from_millis(*at));
            figures.note(Answered { took, at });
        }
        figures
    }

    #[test]
    fn times_are_sorted_and_the_pause_is_the_longest_between_two_receipts() {
        let report = run(&[(9, 10), (1, 12), (5, 900)]).report(Duration::from_secs(1));
        assert_eq!((report.median_ms, report.p95_ms, report.largest_ms), (Some(5.0), Some(9.0), Some(9.0)));
        assert!((report.longest_pause_ms - 888.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_decided_is_counted_and_prolongs_the_pause() {
        let mut figures = run(&[(1, 100)]);
        figures.send();
        let report = figures.report(Duration::from_secs(2));
        assert_eq!((figures.open(), report.sent, report.decided), (1, 2, 1));
        assert!((report.longest_pause_ms - 1900.0).abs() < 1e-9);
        assert_eq!(Figures::new().report(Duration::ZERO).median_ms, None);
    }
}
