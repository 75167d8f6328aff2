//! What is looked at when the run is over: whether everything was decided, everywhere, and whoever cheated was caught.

use super::{Oracle, Violation};
use conclave_protocol::time::Time;

impl Oracle<'_> {
    /// The verdict on a run that ended at this time: what was wrong, in the order in which it was found.
    pub fn verdict(mut self, ended: Time) -> Vec<Violation> {
        let open: Vec<(usize, u64, Time)> =
            self.opened.iter().map(|((host, height), opened)| (*host, *height, *opened)).collect();
        let honest = self.honest.clone();
        for (host, height, opened) in open.into_iter().filter(|(host, ..)| honest.contains(host)) {
            self.check_time(host, height, opened, ended);
        }
        self.check_acknowledged();
        if self.scenario.promises.progress {
            self.check_progress();
        }
        if self.scenario.promises.bounded_heights && self.scenario.promises.progress {
            self.check_evidence();
        }
        self.violations
    }

    /// Hosts that keep the rules and run.
    fn present(&self) -> Vec<usize> {
        self.honest.difference(&self.down).copied().collect()
    }

    fn height_of(&self, host: usize) -> u64 {
        let chain = self.chains.get(&host);
        chain.and_then(|chain| chain.heights.last_key_value()).map_or(0, |(height, _)| *height)
    }

    /// What was acknowledged is there, once, at every host that has come so far.
    fn check_acknowledged(&mut self) {
        if !self.scenario.promises.agreement {
            return;
        }
        for host in self.present() {
            let reached = self.height_of(host);
            let due = self.acknowledged.iter().filter(|(_, height)| **height <= reached);
            let lost = due.filter(|(transaction, height)| {
                let found = self.chains.get(&host).and_then(|chain| chain.transactions.get(*transaction));
                found != Some(*height)
            });
            let lost: Vec<u64> = lost.map(|(_, height)| *height).collect();
            lost.into_iter().for_each(|height| self.violate(Violation::Lost { host, height }));
        }
    }

    fn check_progress(&mut self) {
        let undecided =
            self.submitted.iter().filter(|transaction| !self.acknowledged.contains_key(*transaction)).count();
        if undecided > 0 {
            self.violate(Violation::NoProgress(undecided));
        }
        let present = self.present();
        let highest = present.iter().map(|host| self.height_of(*host)).max().unwrap_or_default();
        for host in present {
            let height = self.height_of(host);
            if height < highest {
                self.violate(Violation::LeftBehind { host, height, highest });
            }
        }
    }

    /// Whoever voted twice before the eyes of one host is accused by a decided block.
    fn check_evidence(&mut self) {
        let reached = self.first.last_key_value().map_or(0, |(height, _)| *height);
        let unpunished: Vec<(usize, u64, usize)> = self
            .voting
            .double_votes()
            .filter(|(witness, height, validator)| {
                let is_disturbed =
                    self.disturbed.contains(witness) || self.kept_out.contains(&(*witness, *validator));
                !is_disturbed && *height <= reached && !self.accused.contains(validator)
            })
            .collect();
        for (witness, height, validator) in unpunished {
            self.violate(Violation::NotProved { validator, height, witness });
        }
    }
}
