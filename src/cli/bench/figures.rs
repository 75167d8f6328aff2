//! Figures and how they are shown.

use crate::cli::output;
use serde::Serialize;
use std::time::Duration;

/// One measured figure.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    /// What was measured on.
    scenario: String,
    /// What was measured.
    what: String,
    /// The value.
    value: f64,
    /// Its unit.
    unit: &'static str,
}

pub(super) fn figure(scenario: &str, what: &str, value: f64, unit: &'static str) -> Figure {
    Figure { scenario: scenario.into(), what: what.into(), value, unit }
}

/// Median, 95th and 99th percentile, and the largest of some times, in milliseconds.
pub(super) fn distribution(scenario: &str, what: &str, mut times: Vec<Duration>) -> Vec<Figure> {
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 - 1.0) * share).round().max(0.0) as usize;
        times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    [("median", 0.5), ("p95", 0.95), ("p99", 0.99), ("largest", 1.0)]
        .map(|(name, share)| figure(scenario, &format!("{what}, {name} of {}", times.len()), at(share), "ms"))
        .to_vec()
}

/// The figures as a table.
pub(super) fn table(figures: &[Figure]) -> String {
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|figure| {
            let value = if figure.value >= 100.0 {
                format!("{:.0}", figure.value)
            } else {
                format!("{:.2}", figure.value)
            };
            vec![figure.scenario.clone(), figure.what.clone(), value, figure.unit.into()]
        })
        .collect();
    output::table(&["SCENARIO", "WHAT", "VALUE", "UNIT"], &rows)
}
