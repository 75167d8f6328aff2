//! The effects of the logic in their order, those that wait for the log behind it.
//!
//! The write-ahead rule lives here: an effect that follows an `Append` takes place once that record is on disk, and
//! effects take place in the order in which the logic gave them. Two kinds go before: bodies of blocks and
//! announcements, which bind nobody.

use super::super::{NodeError, persistence::Persistence};
use conclave_protocol::node::Effect;
use std::collections::VecDeque;

/// Effects that wait, each with the sequence of the log that it waits for.
#[derive(Default)]
pub(in crate::node) struct Outbox(VecDeque<(u64, Effect)>);

impl Outbox {
    /// Takes the next effect of the logic: hands a record to the log, and gives back what may take place at once.
    pub(in crate::node) fn push(
        &mut self,
        effect: Effect,
        log: &mut Persistence,
    ) -> Result<Option<Effect>, NodeError> {
        match effect {
            Effect::Append(record) => log.append(&record).map(|()| None),
            effect @ (Effect::Send { bulk: true, .. } | Effect::Announcements(_)) => Ok(Some(effect)),
            effect if self.0.is_empty() && log.is_synced(log.appended()) => Ok(Some(effect)),
            effect => {
                self.0.push_back((log.appended(), effect));
                Ok(None)
            }
        }
    }

    /// The next effect that need not wait any longer.
    pub(in crate::node) fn pop(&mut self, log: &Persistence) -> Option<Effect> {
        self.0.pop_front_if(|(sequence, _)| log.is_synced(*sequence)).map(|(_, effect)| effect)
    }
}
