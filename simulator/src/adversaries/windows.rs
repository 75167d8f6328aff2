//! The clock of the open height, as an adversary knows it from its own node's notices.

use super::Moment;
use conclave_ledger::signed::Height;
use conclave_protocol::{
    node::{Effect, Notice},
    time::Time,
};

/// When the height that is being decided was opened here; the others opened it less than `Δ` away from that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Windows {
    opened: Option<(Height, Time)>,
}

impl Windows {
    /// Follows what the node wants done.
    pub(super) fn follow(&mut self, effect: &Effect, at: &Moment<'_>) {
        match effect {
            Effect::Tell(Notice::Opened { height, .. }) => self.opened = Some((*height, at.now())),
            Effect::Decided { applied, .. } => {
                self.opened = self.opened.filter(|(height, _)| *height > applied.height);
            }
            _ => {}
        }
    }

    /// The start of the open height.
    pub(super) fn start(&self) -> Option<Time> {
        self.opened.map(|(_, start)| start)
    }

    /// The end of the window that is running.
    pub(super) fn end(&self, at: &Moment<'_>) -> Option<Time> {
        let start = self.start()?;
        let window = at.delta() * 2;
        let passed = at.now().since(start).as_micros() / window.as_micros().max(1);
        Some(start + window * u32::try_from(passed.saturating_add(1)).unwrap_or(u32::MAX))
    }
}
