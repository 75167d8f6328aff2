//! Late: whatever it says, it says at the last moment of a window.
//!
//! Its votes come when the others have nearly given up waiting, and as leader its block comes when the first window is
//! all but over: for some in time and for some not.

use super::{Adversary, Moment, delayed::Delayed, windows::Windows};
use conclave_protocol::{
    node::{Effect, Protocol},
    time::Time,
};

/// See the module.
#[derive(Default)]
pub(super) struct Late {
    /// How long before the end of a window it speaks, as one part in so many of Δ.
    margin: u32,
    windows: Windows,
    delayed: Delayed,
}

impl Late {
    /// Speaks the `margin`th part of Δ before the end of a window.
    pub(super) fn new(margin: u32) -> Self {
        Self { margin: margin.max(1), ..Self::default() }
    }

    /// The last moment of the window that is running; none if it has come, or no window runs.
    fn moment(&self, at: &Moment<'_>) -> Option<Time> {
        let end = self.windows.end(at)?;
        let margin = at.delta() / self.margin;
        Some(Time::after_start(end.since(Time(0)).saturating_sub(margin))).filter(|due| *due > at.now())
    }
}

impl Adversary for Late {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        self.windows.follow(&effect, at);
        let is_late =
            matches!(effect, Effect::Send { .. } | Effect::Respond { protocol: Protocol::Sync, .. });
        match self.moment(at).filter(|_| is_late) {
            Some(due) => {
                self.delayed.push(due, effect);
                Vec::new()
            }
            None => vec![effect],
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.delayed.next()
    }

    fn handle_timeout(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        self.delayed.take(at.now())
    }
}
