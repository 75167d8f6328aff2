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

/// The queue and its bucket.
pub(super) struct Outgoing {
    bucket: TokenBucket,
    waiting: VecDeque<(DataType, Arc<[u8]>)>,
    bytes: usize,
}

impl Outgoing {
    pub(super) fn new(rate: Rate) -> Self {
        Self { bucket: TokenBucket::new(rate.with_margin(), Time(0)), waiting: VecDeque::new(), bytes: 0 }
    }

    /// Puts a message at the end of the queue; false if it is full.
    pub(super) fn push(&mut self, data_type: DataType, bytes: Vec<u8>) -> bool {
        if self.waiting.len() >= MAX_WAITING || self.bytes + bytes.len() > MAX_WAITING_BYTES {
            return false;
        }
        self.bytes += bytes.len();
        self.waiting.push_back((data_type, bytes.into()));
        true
    }

    /// The next message, if it may go out by now.
    pub(super) fn pop(&mut self, now: Time) -> Option<(DataType, Arc<[u8]>)> {
        let length = self.waiting.front()?.1.len();
        if !self.bucket.take(cost(length), now) {
            return None;
        }
        self.bytes -= length;
        self.waiting.pop_front()
    }

    /// When the next message may go out; `None` if there is none.
    pub(super) fn next(&self, now: Time) -> Option<Time> {
        self.waiting.front().map(|(_, bytes)| self.bucket.ready_at(cost(bytes.len()), now))
    }
}
