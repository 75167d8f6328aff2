//! Silent: a validator that is there and says nothing. Its turns as leader have to be skipped.

use super::{Adversary, Moment};
use conclave_protocol::node::{Channel, Effect};

/// See the module.
pub(super) struct Silent;

impl Adversary for Silent {
    fn effect(&mut self, effect: Effect, _: &mut Moment<'_>) -> Vec<Effect> {
        match effect {
            Effect::Send { channel: Channel::Consensus, .. } => Vec::new(),
            other => vec![other],
        }
    }
}
