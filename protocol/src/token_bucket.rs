//! Token buckets: how much somebody may do at once, and how much over time.
//!
//! A bucket holds up to `capacity` tokens and gains `per_second` of them each second. What is done takes tokens; when
//! there are too few it is not done. So over any time `t` at most `capacity + per_second · t` is done.

use crate::time::Time;
use std::{collections::BTreeMap, time::Duration};

/// Parts of a token that are counted: a bucket gains `per_second` of them each microsecond.
const PARTS: u64 = 1_000_000;

/// How much over time, and how much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens gained each second; at least 1.
    pub per_second: u64,
    /// Most tokens held, and what a new bucket begins with.
    pub capacity: u64,
}

impl Rate {
    /// What a sender allows itself whose receivers allow it this rate: so much less that delays on the way, which bring
    /// closer together what was sent apart, do not make it look like more.
    pub fn with_margin(self) -> Self {
        Self { per_second: (self.per_second * 7 / 8).max(1), capacity: (self.capacity / 2).max(1) }
    }
}

/// One bucket.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate: Rate,
    parts: u64,
    updated: Time,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: Time) -> Self {
        Self { rate, parts: Self::capacity(rate), updated: now }
    }

    fn capacity(rate: Rate) -> u64 {
        rate.capacity.saturating_mul(PARTS)
    }

    fn parts_at(&self, now: Time) -> u64 {
        let micros = u64::try_from(now.since(self.updated).as_micros()).unwrap_or(u64::MAX);
        let gained = micros.saturating_mul(self.rate.per_second.max(1));
        self.parts.saturating_add(gained).min(Self::capacity(self.rate))
    }

    /// Takes `tokens` if they are there. What costs more than the capacity takes a full bucket.
    pub fn take(&mut self, tokens: u64, now: Time) -> bool {
        let (held, cost) = (self.parts_at(now), self.cost(tokens));
        if held < cost {
            return false;
        }
        (self.parts, self.updated) = (held - cost, now.max(self.updated));
        true
    }

    /// When `tokens` will be there, if nothing takes any meanwhile; `now` if they are.
    pub fn ready_at(&self, tokens: u64, now: Time) -> Time {
        let missing = self.cost(tokens).saturating_sub(self.parts_at(now));
        now + Duration::from_micros(missing.div_ceil(self.rate.per_second.max(1)))
    }

    /// Whether it holds all that it can: then it is as good as a new one.
    pub fn is_full(&self, now: Time) -> bool {
        self.parts_at(now) == Self::capacity(self.rate)
    }

    fn cost(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(PARTS).min(Self::capacity(self.rate))
    }
}

/// A bucket for each key, made when it is first needed.
///
/// At most `limit` are kept. A full one is forgotten first, by which nothing is lost; if none is full, the one that
/// holds most goes.
#[derive(Clone, Debug)]
pub struct TokenBuckets<K> {
    rate: Rate,
    limit: usize,
    buckets: BTreeMap<K, TokenBucket>,
}

impl<K: Ord + Copy> TokenBuckets<K> {
    /// No bucket yet.
    pub fn new(rate: Rate, limit: usize) -> Self {
        Self { rate, limit: limit.max(1), buckets: BTreeMap::new() }
    }

    /// Takes `tokens` from the bucket of `key`, if they are there.
    pub fn take(&mut self, key: K, tokens: u64, now: Time) -> bool {
        if self.buckets.len() >= self.limit && !self.buckets.contains_key(&key) {
            self.make_room(now);
        }
        self.buckets.entry(key).or_insert_with(|| TokenBucket::new(self.rate, now)).take(tokens, now)
    }

    fn make_room(&mut self, now: Time) {
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        if self.buckets.len() >= self.limit {
            let fullest = self.buckets.iter().max_by_key(|(_, bucket)| bucket.parts_at(now));
            if let Some(key) = fullest.map(|(key, _)| *key) {
                self.buckets.remove(&key);
            }
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { per_second: 10, capacity: 50 };

    fn at(ms: u64) -> Time {
        Time::after_start(Duration::from_millis(ms))
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut bucket = TokenBucket::new(RATE, at(0));
        assert!((0..50).all(|_| bucket.take(1, at(0))));
        assert!(!bucket.take(1, at(99)), "a tenth of a second brings the next");
        assert_eq!(bucket.ready_at(1, at(99)), at(100));
        assert!(bucket.take(1, at(100)));
        assert_eq!(bucket.ready_at(10, at(100)), at(1100));
        assert!(bucket.is_full(at(60_000)) && !bucket.is_full(at(200)));
    }

    #[test]
    fn what_is_larger_than_the_bucket_takes_a_full_one() {
        let mut bucket = TokenBucket::new(RATE, at(0));
        assert!(bucket.take(1000, at(0)));
        assert!(!bucket.take(1000, at(4999)));
        assert!(bucket.take(1000, at(5000)));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_those_that_are_full() {
        let mut buckets = TokenBuckets::new(RATE, 3);
        for key in 0..3 {
            assert!(buckets.take(key, 40, at(0)));
        }
        assert!(buckets.take(3, 50, at(4000)), "all others are full by then");
        assert_eq!(buckets.len(), 1);
        for key in 0..100 {
            buckets.take(key, 50, at(4000));
            assert!(buckets.len() <= 3);
        }
        assert!(!buckets.take(99, 1, at(4000)), "the newest is still known to be empty");
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(steps in proptest::collection::vec((0u64..3000, 0u64..70), 1..60)) {
            let mut bucket = TokenBucket::new(RATE, at(0));
            let (mut now, mut taken) = (0, 0);
            for (pause, tokens) in steps {
                now += pause;
                if bucket.take(tokens, at(now)) {
                    taken += tokens.min(RATE.capacity);
                }
                prop_assert!(taken * 1000 <= RATE.capacity * 1000 + RATE.per_second * now);
                let ready = bucket.ready_at(tokens, at(now));
                let mut later = bucket;
                prop_assert!(later.take(tokens, ready), "it is there when it was said to be");
            }
        }
    }
}
