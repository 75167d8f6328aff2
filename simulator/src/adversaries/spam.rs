//! Spam: more than anybody asked for, again and again.
//!
//! Transactions of unknown senders without a stamp, the same ones over and over, good records in numbers, and
//! announcements and requests of what does not exist. A burst goes to every peer each [`INTERVAL`], and there are
//! [`MAX_BURSTS`] of them, so that a simulation ends.

use super::{Adversary, Moment, bursts::Bursts, forge::unknown_block, moment::transactions};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    hash::TransactionId,
    keys::SecretKey,
    transaction::{Request, SharedTransaction},
};
use conclave_protocol::{
    dissemination::{MAX_ITEMS, Message},
    node::Effect,
    time::Time,
};
use std::time::Duration;

/// Time between two bursts.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);

/// Bursts in a life.
pub(super) const MAX_BURSTS: u32 = 512;

/// Transactions in a burst.
const TRANSACTIONS: usize = 32;

/// Transactions remembered to be sent again.
const MAX_REPEATED: usize = 64;

/// See the module.
pub(super) struct Spam {
    bursts: Bursts,
    repeated: Vec<SharedTransaction>,
}

impl Default for Spam {
    fn default() -> Self {
        Self { bursts: Bursts::new(MAX_BURSTS, INTERVAL), repeated: Vec::new() }
    }
}

/// A record of no use.
fn record(sender: &SecretKey, at: &mut Moment<'_>) -> SharedTransaction {
    let size = 16 + at.below(256);
    let payload = Payload::Record(Record { kind: "spam".into(), data: Bytes(at.bytes(size)) });
    let (network, expires) = (at.node.chain().network(), at.height().saturating_add(20));
    Request { network, sender: sender.public(), expires, payload }.sign(sender).into()
}

impl Spam {
    fn burst(&mut self, at: &mut Moment<'_>) -> Message {
        let ids = |at: &mut Moment<'_>| -> Vec<TransactionId> {
            (0..MAX_ITEMS).map(|_| unknown_block(at)).collect()
        };
        match at.below(5) {
            0 => Message::Have(ids(at)),
            1 => Message::Want(ids(at)),
            2 => {
                let mut seed = [0; 32];
                seed.copy_from_slice(&at.bytes(32));
                let stranger = SecretKey::from_seed(seed);
                Message::Transactions((0..TRANSACTIONS).map(|_| record(&stranger, at)).collect())
            }
            3 if !self.repeated.is_empty() => Message::Transactions(self.repeated.clone()),
            _ => {
                let key = at.key.clone();
                let fresh: Vec<_> = (0..TRANSACTIONS).map(|_| record(&key, at)).collect();
                self.repeated.extend(fresh.iter().cloned());
                let surplus = self.repeated.len().saturating_sub(MAX_REPEATED);
                self.repeated.drain(..surplus);
                Message::Transactions(fresh)
            }
        }
    }
}

impl Adversary for Spam {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        self.bursts.begin(at);
        vec![effect]
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.bursts.next()
    }

    fn handle_timeout(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        if !self.bursts.take(at.now()) {
            return Vec::new();
        }
        let burst = self.burst(at);
        at.node.peers().keys().map(|peer| transactions(*peer, &burst)).collect()
    }
}
