//! What happens to hosts and the network: crashes, restarts, pauses, cuts.

use super::{World, event::Event};
use crate::{observation::Observation, scenario::Fault};
use std::time::Duration;

/// How long a connection to a machine that is gone stays silent before it is given up: two lost pings.
const SILENCE: Duration = Duration::from_secs(15);

impl World<'_> {
    pub(super) fn fault(&mut self, number: usize) {
        let Some((_, fault)) = self.scenario.faults.get(number).cloned() else { return };
        let text = fault.to_string();
        self.observe(Observation::Happened { text: &text });
        match fault {
            Fault::Crash { host, loses_unsynced } => self.crash(host, loses_unsynced),
            Fault::Restart { host } => {
                if !self.hosts[host].is_up() {
                    self.start(host);
                }
            }
            Fault::Pause { host, lasts } => self.hosts[host].paused_until = Some(self.now + lasts),
            Fault::Cut { side, breaks_after } => {
                self.cuts += 1;
                self.links.cut = Some(side);
                self.stall();
                if let Some(after) = breaks_after {
                    self.queue.put(self.now + after, Event::BreakConnections(self.cuts));
                }
            }
            Fault::Heal => self.heal(),
        }
    }

    fn crash(&mut self, number: usize, loses_unsynced: bool) {
        if !self.hosts[number].is_up() {
            return;
        }
        self.hosts[number].process = None;
        if !loses_unsynced {
            let records: Vec<Vec<u8>> =
                self.hosts[number].disk.outlasting().into_iter().map(<[u8]>::to_vec).collect();
            for record in &records {
                self.observe(Observation::Logged { host: number, record });
            }
        }
        self.hosts[number].disk.crash(loses_unsynced);
        self.links.close_all(number);
        // The system of a machine that is still there says that its process is gone.
        let silence = if loses_unsynced { SILENCE } else { Duration::ZERO };
        for connection in self.links.of(number) {
            self.close(connection, silence);
        }
        self.observe(Observation::Died { host: number });
    }

    /// What is under way across a new cut waits for its end.
    fn stall(&mut self) {
        let across = self.links.across();
        let is_across =
            |event: &Event| matches!(event, Event::Arrival { connection, .. } if across.contains(connection));
        let stalled = self.queue.take(is_across);
        self.links.stalled.extend(stalled.into_iter().map(|(_, event)| event));
    }

    pub(super) fn break_connections(&mut self, cut: u32) {
        if self.cuts == cut && self.links.cut.is_some() {
            for connection in self.links.across() {
                self.close(connection, Duration::ZERO);
            }
        }
    }

    fn heal(&mut self) {
        self.links.cut = None;
        for event in std::mem::take(&mut self.links.stalled) {
            let Event::Arrival { connection, to, .. } = &event else { continue };
            let Some(from) = self.links.get(*connection).map(|link| link.other(*to)) else { continue };
            let at = self.arrival(from, &event);
            self.queue.put(at, event);
        }
    }
}
