//! Withhold the block: a leader that names its block and gives the body to one validator at most, and nobody who
//! passes bodies on when asked.

use super::{Adversary, Moment, forge::own_block};
use conclave_ledger::{codec, signed::Height};
use conclave_protocol::{
    consensus::Message,
    node::{Effect, Protocol},
    peer::Peer,
    sync::{MAX_RESPONSE_BYTES, Response},
};

/// See the module.
#[derive(Default)]
pub(super) struct WithholdBlock {
    height: Height,
    favourite: Option<Peer>,
}

impl WithholdBlock {
    fn begin(&mut self, height: Height, at: &mut Moment<'_>) {
        if self.height != height {
            self.height = height;
            let victims = at.victims();
            self.favourite = if at.one_in(3) { None } else { at.pick(&victims) };
        }
    }
}

impl Adversary for WithholdBlock {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        if let Effect::Respond { peer, protocol: Protocol::Sync, number, bytes } = &effect {
            let found = codec::decode(bytes, MAX_RESPONSE_BYTES);
            if let Ok(Response::Block(Some(_))) = found
                && self.favourite != Some(*peer)
            {
                let nothing = Response::Block(None);
                return vec![if at.one_in(2) {
                    Effect::Ignore { number: *number }
                } else {
                    let (peer, protocol, number) = (*peer, Protocol::Sync, *number);
                    Effect::Respond { peer, protocol, number, bytes: codec::encode(&nothing) }
                }];
            }
            return vec![effect];
        }
        let Some((peer, message)) = at.sends(&effect) else { return vec![effect] };
        if let Some(block) = own_block(&message, at) {
            self.begin(block.header.height, at);
        }
        match message {
            Message::Block(_) if self.favourite != Some(peer) => Vec::new(),
            _ => vec![effect],
        }
    }
}
