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

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// The most that it has held, pages of the program's file among it.
    pub(super) most: f64,
    /// Those pages: the system has them once for all processes of the program, and gives them up when it needs them.
    pub(super) program: f64,
}

/// What a process takes; zero if it is gone.
pub(super) fn memory(pid: u32) -> Memory {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mebibytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    Memory { most: mebibytes("VmHWM:"), program: mebibytes("RssFile:") }
}
