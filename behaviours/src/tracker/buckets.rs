//! How often somebody may ask: buckets of tokens that fill up again with time.

use std::{collections::BTreeMap, time::Instant};

/// Most buckets of one kind; when all are in use, newcomers have to wait.
const MAX_BUCKETS: usize = 8192;

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens in a full bucket.
    pub at_once: u32,
    /// Tokens that come back each second.
    pub per_second: u32,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// A bucket for each of those who ask.
pub struct Buckets<K> {
    rate: Rate,
    buckets: BTreeMap<K, Bucket>,
}

impl<K: Ord + Clone> Buckets<K> {
    /// Full buckets for everybody.
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: BTreeMap::new() }
    }

    /// Takes a token from the bucket of `key`; false if there is none.
    pub fn take(&mut self, key: &K, now: Instant) -> bool {
        let full = f64::from(self.rate.at_once);
        let per_second = f64::from(self.rate.per_second);
        let level = |bucket: &Bucket| {
            let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
            (bucket.tokens + since * per_second).min(full)
        };
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(key) {
            // A full bucket is as good as none.
            self.buckets.retain(|_, bucket| level(bucket) < full);
            if self.buckets.len() >= MAX_BUCKETS {
                return false;
            }
        }
        let bucket = self.buckets.entry(key.clone()).or_insert(Bucket { tokens: full, filled: now });
        bucket.tokens = level(bucket);
        bucket.filled = now;
        let there = bucket.tokens >= 1.0;
        if there {
            bucket.tokens -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_empties_and_fills_and_others_are_not_touched() {
        let mut buckets = Buckets::new(Rate { at_once: 3, per_second: 2 });
        let start = Instant::now();
        let taken = |buckets: &mut Buckets<u8>, key, now| (0..10).filter(|_| buckets.take(&key, now)).count();
        assert_eq!(taken(&mut buckets, 1, start), 3);
        assert_eq!(taken(&mut buckets, 2, start), 3);
        assert_eq!(taken(&mut buckets, 1, start + Duration::from_secs(1)), 2);
        assert_eq!(taken(&mut buckets, 1, start + Duration::from_secs(60)), 3);
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let mut buckets = Buckets::new(Rate { at_once: 1, per_second: 1 });
        let start = Instant::now();
        let served = (0..2 * MAX_BUCKETS).filter(|key| buckets.take(key, start)).count();
        assert_eq!((served, buckets.buckets.len()), (MAX_BUCKETS, MAX_BUCKETS));
        assert!(buckets.take(&usize::MAX, start + Duration::from_secs(1)), "the others are full again");
    }
}
