//! What waits to be published, so that this node stays under the rate that others allow an origin.

use super::{
    config::{LEAST_COST, MAX_WAITING, MAX_WAITING_BYTES},
    message::DataType,
};
use crate::{
    time::Time,
    token_bucket::{Rate, TokenBucket},
};
use std::{collections::VecDeque, sync::Arc};

/// What a message of so many bytes costs of a bucket.
pub(super) fn cost(bytes: usize) -> u64 {
    LEAST_COST.max(bytes as u64)
}

/// A message that waits.
pub(super) struct Waiting {
    pub(super) data_type: DataType,
    /// Whether gossipsub is to know it by its origin, too.
    pub(super) per_origin: bool,
    pub(super) bytes: Arc<[u8]>,
}

/// The queue and its bucket.
pub(super) struct Outgoing {
    bucket: TokenBucket,
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

impl Outgoing {
    pub(super) fn new(rate: Rate) -> Self {
        Self { bucket: TokenBucket::new(rate.with_margin(), Time(0)), waiting: VecDeque::new(), bytes: 0 }
    }

    /// Puts a message at the end of the queue; false if it is full.
    pub(super) fn push(&mut self, message: Waiting) -> bool {
        let length = message.bytes.len();
        if self.waiting.len() >= MAX_WAITING || self.bytes + length > MAX_WAITING_BYTES {
            return false;
        }
        self.bytes += length;
        self.waiting.push_back(message);
        true
    }

    /// The next message, if it may go out by now.
    pub(super) fn pop(&mut self, now: Time) -> Option<Waiting> {
        let length = self.waiting.front()?.bytes.len();
        if !self.bucket.take(cost(length), now) {
            return None;
        }
        self.bytes -= length;
        self.waiting.pop_front()
    }

    /// When the next message may go out; `None` if there is none.
    pub(super) fn next(&self, now: Time) -> Option<Time> {
        self.waiting.front().map(|next| self.bucket.ready_at(cost(next.bytes.len()), now))
    }
}
