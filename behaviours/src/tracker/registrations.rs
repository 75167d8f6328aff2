//! The table of registrations: bounded in all, by peer and by address block, and emptied by time.

use super::{Config, block::AddressBlock, server::RefusalReason};
use crate::rendezvous::Namespace;
use libp2p::PeerId;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A record under a name.
#[derive(Clone, Debug)]
struct Registration {
    peer: PeerId,
    block: AddressBlock,
    /// The signed record as the peer sent it.
    record: Vec<u8>,
    expires: Instant,
}

/// What a question is answered with.
#[derive(Debug)]
pub(super) struct Page {
    /// Signed records and the whole seconds that they have left.
    pub(super) records: Vec<(Vec<u8>, u64)>,
    /// The number of the last registration that is told.
    pub(super) last: u64,
}

/// The table.
pub(super) struct Registrations {
    config: Config,
    /// By name, in the order in which they came.
    by_name: BTreeMap<(Namespace, u64), Registration>,
    by_peer: BTreeMap<(PeerId, Namespace), u64>,
    by_expiry: BTreeMap<(Instant, u64), Namespace>,
    by_block: BTreeMap<AddressBlock, usize>,
    next: u64,
}

impl Registrations {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            by_name: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            by_expiry: BTreeMap::new(),
            by_block: BTreeMap::new(),
            next: 1,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Registers a peer, or renews what it has registered; the time that is granted.
    pub(super) fn register(
        &mut self,
        peer: PeerId,
        block: AddressBlock,
        namespace: Namespace,
        record: Vec<u8>,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<Duration, RefusalReason> {
        self.expire(now);
        self.remove(peer, &namespace);
        self.admit(peer, block)?;
        let ttl = ttl.unwrap_or(self.config.max_ttl).clamp(self.config.min_ttl, self.config.max_ttl);
        let (number, expires) = (self.next, now + ttl);
        self.next += 1;
        self.by_peer.insert((peer, namespace.clone()), number);
        self.by_expiry.insert((expires, number), namespace.clone());
        self.by_name.insert((namespace, number), Registration { peer, block, record, expires });
        *self.by_block.entry(block).or_default() += 1;
        Ok(ttl)
    }

    fn admit(&self, peer: PeerId, block: AddressBlock) -> Result<(), RefusalReason> {
        let first = Namespace::lowest();
        let mine = self.by_peer.range((peer, first)..).take_while(|((of, _), _)| *of == peer).count();
        if mine >= self.config.max_per_peer {
            return Err(RefusalReason::PeerFull);
        }
        if self.by_block.get(&block).is_some_and(|count| *count >= self.config.max_per_block) {
            return Err(RefusalReason::BlockFull);
        }
        if self.by_name.len() >= self.config.max_registrations {
            return Err(RefusalReason::TrackerFull);
        }
        Ok(())
    }

    /// Forgets what a peer has registered under a name; whether there was something.
    pub(super) fn remove(&mut self, peer: PeerId, namespace: &Namespace) -> bool {
        let Some(number) = self.by_peer.remove(&(peer, namespace.clone())) else { return false };
        self.drop_number(namespace.clone(), number);
        true
    }

    fn drop_number(&mut self, namespace: Namespace, number: u64) {
        let Some(registration) = self.by_name.remove(&(namespace.clone(), number)) else { return };
        self.by_expiry.remove(&(registration.expires, number));
        self.by_peer.remove(&(registration.peer, namespace));
        if let Some(count) = self.by_block.get_mut(&registration.block) {
            *count -= 1;
            if *count == 0 {
                self.by_block.remove(&registration.block);
            }
        }
    }

    /// Forgets what was not renewed in time.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(((expires, number), namespace)) = self.by_expiry.pop_first() {
            if expires > now {
                self.by_expiry.insert((expires, number), namespace);
                break;
            }
            self.drop_number(namespace, number);
        }
    }

    /// Up to `limit` records under a name that came after number `after`, of at most `max_bytes` together.
    pub(super) fn discover(
        &mut self,
        namespace: &Namespace,
        after: u64,
        limit: usize,
        max_bytes: usize,
        now: Instant,
    ) -> Page {
        self.expire(now);
        let mut page = Page { records: Vec::new(), last: after };
        let mut bytes = 0;
        let from = (namespace.clone(), after.saturating_add(1));
        let of_it = self.by_name.range(from..).take_while(|((name, _), _)| name == namespace);
        for ((_, number), registration) in of_it.take(limit) {
            bytes += registration.record.len();
            if bytes > max_bytes {
                break;
            }
            let left = registration.expires.saturating_duration_since(now).as_secs().max(1);
            page.records.push((registration.record.clone(), left));
            page.last = *number;
        }
        page
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HERE: AddressBlock = AddressBlock::V4([192, 0, 2]);

    fn name(text: &str) -> Namespace {
        Namespace::new(text).unwrap()
    }

    fn table() -> Registrations {
        Registrations::new(Config {
            max_registrations: 6,
            max_per_peer: 2,
            max_per_block: 4,
            ..Config::default()
        })
    }

    fn add(
        table: &mut Registrations,
        peer: PeerId,
        block: AddressBlock,
        under: &str,
        now: Instant,
    ) -> Result<Duration, RefusalReason> {
        table.register(peer, block, name(under), vec![1; 100], Some(Duration::from_secs(20)), now)
    }

    #[test]
    fn renewing_replaces_and_time_empties() {
        let (mut table, now, peer) = (table(), Instant::now(), PeerId::random());
        for second in 0..5 {
            add(&mut table, peer, HERE, "a", now + Duration::from_secs(second)).unwrap();
            assert_eq!((table.len(), table.by_expiry.len(), table.by_block[&HERE]), (1, 1, 1));
        }
        let page = |table: &mut Registrations, second| {
            table.discover(&name("a"), 0, 10, 1000, now + Duration::from_secs(second)).records.len()
        };
        assert_eq!((page(&mut table, 23), page(&mut table, 24)), (1, 0));
        assert!(table.by_peer.is_empty() && table.by_block.is_empty() && table.by_expiry.is_empty());
        add(&mut table, peer, HERE, "a", now).unwrap();
        assert!(table.remove(peer, &name("a")) && !table.remove(peer, &name("a")));
        assert!(table.by_peer.is_empty() && table.by_block.is_empty() && table.by_expiry.is_empty());
    }

    #[test]
    fn every_bound_holds_and_renewing_is_never_refused() {
        let (mut table, now) = (table(), Instant::now());
        let there = AddressBlock::V4([198, 51, 100]);
        let peers: Vec<PeerId> = (0..6).map(|_| PeerId::random()).collect();
        add(&mut table, peers[0], HERE, "a", now).unwrap();
        add(&mut table, peers[0], HERE, "b", now).unwrap();
        assert_eq!(add(&mut table, peers[0], HERE, "c", now), Err(RefusalReason::PeerFull));
        add(&mut table, peers[1], HERE, "a", now).unwrap();
        add(&mut table, peers[2], HERE, "a", now).unwrap();
        assert_eq!(add(&mut table, peers[3], HERE, "a", now), Err(RefusalReason::BlockFull));
        add(&mut table, peers[3], there, "a", now).unwrap();
        add(&mut table, peers[4], there, "a", now).unwrap();
        assert_eq!(add(&mut table, peers[5], there, "a", now), Err(RefusalReason::TrackerFull));
        add(&mut table, peers[0], HERE, "a", now).unwrap();
        assert_eq!(table.len(), 6);
    }

    #[test]
    fn pages_follow_one_another() {
        let (mut table, now) = (table(), Instant::now());
        let blocks = [HERE, AddressBlock::Other];
        for number in 0..6 {
            add(&mut table, PeerId::random(), blocks[number % 2], ["a", "b"][number / 5], now).unwrap();
        }
        let first = table.discover(&name("a"), 0, 2, 1000, now);
        let second = table.discover(&name("a"), first.last, 10, 250, now);
        let third = table.discover(&name("a"), second.last, 10, 1000, now);
        let fourth = table.discover(&name("a"), third.last, 10, 1000, now);
        let sizes = [first, second, third, fourth].map(|page| page.records.len());
        assert_eq!(sizes, [2, 2, 1, 0], "by number, by bytes, the rest, nothing more");
    }

    #[test]
    fn times_are_brought_into_range() {
        let mut table = table();
        for (asked, granted) in [(None, 7200), (Some(0), 10), (Some(60), 60), (Some(u64::MAX), 7200)] {
            let asked = asked.map(Duration::from_secs);
            let found = table.register(
                PeerId::random(),
                AddressBlock::Other,
                name("a"),
                Vec::new(),
                asked,
                Instant::now(),
            );
            assert_eq!(found, Ok(Duration::from_secs(granted)), "{asked:?}");
        }
    }
}
