//! What waits behind the log: an effect that follows an [`Effect::Append`] takes place once that record is on disk.
//!
//! Whoever drives the logic appends the records, numbers them in order, and asks here about everything else. Only what
//! binds nobody goes past: blocks' bodies, and what concerns announcements.

use super::Effect;
use std::collections::VecDeque;

/// Effects that wait, each with the number of the record that it waits for. Bounded by what the log has not synced yet,
/// for which its driver has a bound.
#[derive(Debug, Default)]
pub struct Barrier {
    held: VecDeque<(u64, Effect)>,
}

impl Barrier {
    /// Takes an effect that is no `Append` when records up to `appended` were handed to the log and those up to
    /// `synced` are on disk. Gives it back if it may take place now; otherwise it waits.
    pub fn pass(&mut self, effect: Effect, appended: u64, synced: u64) -> Option<Effect> {
        let binds_nobody = matches!(effect, Effect::Send { bulk: true, .. } | Effect::Announcements(_));
        if binds_nobody || (self.held.is_empty() && appended <= synced) {
            return Some(effect);
        }
        self.held.push_back((appended, effect));
        None
    }

    /// The next effect that has waited for long enough, in order.
    pub fn release(&mut self, synced: u64) -> Option<Effect> {
        self.held.pop_front_if(|(waits_for, _)| *waits_for <= synced).map(|(_, effect)| effect)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{node::Channel, peer::Peer};

    fn send(bulk: bool) -> Effect {
        let peer = Peer::from_bytes(b"peer").unwrap();
        Effect::Send { peer, channel: Channel::Consensus, bulk, bytes: [1].into() }
    }

    #[test]
    fn nothing_that_binds_overtakes_a_record() {
        let mut barrier = Barrier::default();
        assert!(barrier.pass(send(false), 3, 3).is_some(), "all is synced");
        assert!(barrier.pass(send(false), 4, 3).is_none());
        assert!(barrier.pass(send(true), 4, 3).is_some(), "a body binds nobody");
        assert!(barrier.pass(Effect::AskTrackers, 5, 3).is_none());
        assert!(barrier.release(3).is_none());
        assert!(matches!(barrier.release(4), Some(Effect::Send { .. })));
        assert!(barrier.pass(send(false), 5, 5).is_none(), "nor does it overtake what waits");
        assert!(matches!(barrier.release(5), Some(Effect::AskTrackers)));
        assert!(matches!(barrier.release(5), Some(Effect::Send { .. })));
        assert!(barrier.release(5).is_none());
    }
}
