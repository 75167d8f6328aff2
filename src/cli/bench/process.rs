//! What a process takes of the machine, as /proc tells it.

use std::time::Duration;

/// Ticks of the system's clock in a second, as Linux counts processor time for /proc.
const TICKS: f64 = 100.0;

/// Processor time that a process has used; zero if it is gone.
pub(super) fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Fields 14 and 15, counted after the name, which ends with the last parenthesis.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS)
}

/// Memory that a process holds, and the most that it has held, in MiB.
pub(super) fn memory_mib(pid: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
    };
    (kilobytes("VmRSS:") / 1024.0, kilobytes("VmHWM:") / 1024.0)
}
