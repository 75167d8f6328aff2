//! When to ask which tracker for what.
//!
//! A node registers with every tracker that it knows, renews that before it runs out (the heartbeat), asks for peers
//! after each time that it has registered and whenever the logic wants to know more, and leaves when it stops. A
//! tracker that does not answer is tried again, ever more slowly; nothing else depends on it.
//!
//! ```text
//! due ─► Dial ─► connected ─► Register ─► registered ─► Discover ─► (all told) ─► … until due again
//!            └─► failed ─► pause, doubled each time
//! ```
//! This file decides, given the time; `node/tracking.rs` does it.

use conclave_behaviours::rendezvous::{Asked, Since};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use std::time::{Duration, Instant};

/// Most trackers that a node uses; what is configured beyond them is an error.
pub const MAX_TRACKERS: usize = 16;

/// For how long a node registers: a node that has died is told to newcomers no longer than this.
pub const TTL: Duration = Duration::from_secs(120);

/// First pause after a tracker has failed; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause after a tracker has failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Most pages that are asked for in a row, so that a tracker cannot keep a node reading.
const MAX_PAGES: usize = 16;

/// What is to be done about the tracker of this number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dial it.
    Dial(usize, Multiaddr),
    /// Register there.
    Register(usize, PeerId),
    /// Ask it for peers.
    Discover(usize, PeerId, Since),
    /// Take leave of it.
    Unregister(usize, PeerId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is under way.
    Idle,
    Dialling,
    /// An answer to this is awaited.
    Asked(Asked),
}

struct Tracker {
    address: Multiaddr,
    /// Whose it is: said by the address, or learned by dialling it.
    peer: Option<PeerId>,
    connected: bool,
    step: Step,
    failures: u32,
    /// Not before this.
    not_before: Instant,
    /// When to register again.
    register_at: Instant,
    registered: bool,
    /// What to ask next.
    wanted: Option<Since>,
    pages: usize,
}

/// The trackers of a node.
pub struct Trackers {
    list: Vec<Tracker>,
    leaving: bool,
}

impl Trackers {
    /// Trackers at these addresses, each to be asked at once.
    pub fn new(addresses: impl IntoIterator<Item = Multiaddr>, now: Instant) -> Self {
        let tracker = |address: Multiaddr| Tracker {
            peer: address.iter().find_map(|part| match part {
                Protocol::P2p(peer) => Some(peer),
                _ => None,
            }),
            address,
            connected: false,
            step: Step::Idle,
            failures: 0,
            not_before: now,
            register_at: now,
            registered: false,
            wanted: Some(Since::Beginning),
            pages: 0,
        };
        Self { list: addresses.into_iter().take(MAX_TRACKERS).map(tracker).collect(), leaving: false }
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of the tracker that is this peer.
    pub fn of_peer(&self, peer: &PeerId) -> Option<usize> {
        self.list.iter().position(|tracker| tracker.peer.as_ref() == Some(peer))
    }

    /// The node wants to know more peers.
    pub fn ask(&mut self) {
        self.list.iter_mut().for_each(|tracker| tracker.wanted = Some(Since::Beginning));
    }

    /// The node leaves: it takes leave of those with whom it is registered.
    pub fn leave(&mut self, now: Instant) {
        self.leaving = true;
        for tracker in &mut self.list {
            tracker.wanted = None;
            tracker.not_before = now;
        }
    }

    /// Whether the node is registered nowhere any more.
    pub fn has_left(&self) -> bool {
        self.list.iter().all(|tracker| !tracker.registered)
    }

    /// What is to be done now; `can_register` says whether there is an address to register.
    pub fn due(&mut self, now: Instant, can_register: bool) -> Vec<Action> {
        let leaving = self.leaving;
        let each = self.list.iter_mut().enumerate();
        each.filter_map(|(number, tracker)| tracker.due(number, now, can_register, leaving)).collect()
    }

    /// When [`Trackers::due`] wants to be called again.
    pub fn next(&self, can_register: bool) -> Option<Instant> {
        let each = self.list.iter().filter(|tracker| tracker.step == Step::Idle);
        each.filter_map(|tracker| tracker.next(can_register, self.leaving)).min()
    }

    /// The connection to a tracker is there.
    pub fn connected(&mut self, number: usize, peer: PeerId) {
        if let Some(tracker) = self.list.get_mut(number) {
            tracker.peer = Some(peer);
            tracker.connected = true;
            if tracker.step == Step::Dialling {
                tracker.step = Step::Idle;
            }
        }
    }

    /// No connection to the tracker is left. That is normal: an idle one is closed.
    pub fn disconnected(&mut self, peer: &PeerId) {
        for tracker in self.list.iter_mut().filter(|tracker| tracker.peer.as_ref() == Some(peer)) {
            tracker.connected = false;
        }
    }

    /// A tracker could not be reached, or did not do what was asked; how often in a row.
    pub fn failed(&mut self, number: usize, asked: Option<Asked>, now: Instant, jitter: f64) -> u32 {
        let leaving = self.leaving;
        let Some(tracker) = self.list.get_mut(number) else { return 0 };
        tracker.step = Step::Idle;
        tracker.failures = tracker.failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << (tracker.failures - 1).min(10)).min(LONGEST_PAUSE);
        tracker.not_before = now + pause.mul_f64(1.0 + jitter / 4.0);
        match asked {
            // It may be full and still tell of others.
            Some(Asked::Register) => {
                tracker.registered = false;
                tracker.register_at = tracker.not_before;
                if tracker.wanted.is_some() {
                    tracker.not_before = now;
                }
            }
            Some(Asked::Discover) => tracker.wanted = Some(Since::Beginning),
            Some(Asked::Unregister) => tracker.registered = false,
            // A node that leaves does not wait for who is not there.
            None => tracker.registered &= !leaving,
        }
        tracker.failures
    }

    /// The node is registered for `ttl`.
    pub fn registered(&mut self, number: usize, ttl: Duration, now: Instant) {
        let Some(tracker) = self.list.get_mut(number) else { return };
        tracker.step = Step::Idle;
        tracker.failures = 0;
        tracker.registered = true;
        tracker.register_at = now + ttl / 3;
        // Newcomers are heard of with the heartbeat.
        tracker.wanted = tracker.wanted.or(Some(Since::LastTime));
    }

    /// The tracker has told of peers; more may follow where the page was `full`. Whether that is cut off here.
    pub fn told(&mut self, number: usize, full: bool) -> bool {
        let Some(tracker) = self.list.get_mut(number) else { return false };
        tracker.step = Step::Idle;
        tracker.failures = 0;
        tracker.pages += 1;
        let cut_off = full && tracker.pages >= MAX_PAGES;
        tracker.wanted = (full && !cut_off).then_some(Since::LastTime);
        if tracker.wanted.is_none() {
            tracker.pages = 0;
        }
        cut_off
    }

    /// The tracker has forgotten the node.
    pub fn unregistered(&mut self, number: usize) {
        if let Some(tracker) = self.list.get_mut(number) {
            tracker.step = Step::Idle;
            tracker.registered = false;
        }
    }
}

impl Tracker {
    fn wants(&self, now: Instant, can_register: bool, leaving: bool) -> Option<Asked> {
        match () {
            () if leaving => self.registered.then_some(Asked::Unregister),
            () if can_register && self.register_at <= now => Some(Asked::Register),
            () => self.wanted.map(|_| Asked::Discover),
        }
    }

    fn due(&mut self, number: usize, now: Instant, can_register: bool, leaving: bool) -> Option<Action> {
        if self.step != Step::Idle || self.not_before > now {
            return None;
        }
        let asked = self.wants(now, can_register, leaving)?;
        let Some(peer) = self.peer.filter(|_| self.connected) else {
            self.step = Step::Dialling;
            return Some(Action::Dial(number, self.address.clone()));
        };
        self.step = Step::Asked(asked);
        Some(match asked {
            Asked::Register => Action::Register(number, peer),
            Asked::Unregister => Action::Unregister(number, peer),
            Asked::Discover => Action::Discover(number, peer, self.wanted.take().unwrap_or(Since::Beginning)),
        })
    }

    fn next(&self, can_register: bool, leaving: bool) -> Option<Instant> {
        let when = match () {
            () if leaving => self.registered.then_some(self.not_before)?,
            () if self.wanted.is_some() => self.not_before,
            () => can_register.then_some(self.register_at)?,
        };
        Some(when.max(self.not_before))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn one() -> (Trackers, PeerId, Instant) {
        let peer = PeerId::random();
        let now = Instant::now();
        let address = format!("/ip4/192.0.2.7/tcp/1/p2p/{peer}").parse().unwrap();
        (Trackers::new([address], now), peer, now)
    }

    #[test]
    fn registers_asks_and_keeps_registered() {
        let (mut trackers, peer, now) = one();
        assert!(matches!(trackers.due(now, true)[..], [Action::Dial(0, _)]));
        assert_eq!(trackers.due(now, true), [], "one thing at a time");
        trackers.connected(0, peer);
        assert_eq!(trackers.due(now, true), [Action::Register(0, peer)]);
        trackers.registered(0, Duration::from_secs(120), now);
        assert_eq!(trackers.due(now, true), [Action::Discover(0, peer, Since::Beginning)]);
        trackers.told(0, true);
        assert_eq!(trackers.due(now, true), [Action::Discover(0, peer, Since::LastTime)]);
        trackers.told(0, false);
        assert_eq!(trackers.due(now, true), []);
        assert_eq!(trackers.next(true), Some(now + Duration::from_secs(40)));
        trackers.disconnected(&peer);
        let later = now + Duration::from_secs(40);
        assert!(
            matches!(trackers.due(later, true)[..], [Action::Dial(0, _)]),
            "only when there is something"
        );
        trackers.connected(0, peer);
        assert_eq!(trackers.due(later, true), [Action::Register(0, peer)]);
        trackers.registered(0, Duration::from_secs(120), later);
        assert_eq!(trackers.due(later, true), [Action::Discover(0, peer, Since::LastTime)], "the heartbeat");
        trackers.told(0, false);
        trackers.ask();
        assert_eq!(trackers.due(later, true), [Action::Discover(0, peer, Since::Beginning)]);
    }

    #[test]
    fn without_an_address_of_its_own_a_node_only_asks() {
        let (mut trackers, peer, now) = one();
        trackers.due(now, false);
        trackers.connected(0, peer);
        assert_eq!(trackers.due(now, false), [Action::Discover(0, peer, Since::Beginning)]);
        trackers.told(0, false);
        assert_eq!((trackers.due(now, false), trackers.next(false)), (vec![], None));
        assert_eq!(trackers.due(now, true), [Action::Register(0, peer)]);
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_success_forgets_them() {
        let (mut trackers, peer, mut now) = one();
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(matches!(trackers.due(now, true)[..], [Action::Dial(0, _)]));
            trackers.failed(0, None, now, 0.0);
            assert_eq!(trackers.due(now, true), []);
            assert_eq!(trackers.next(true), Some(now + Duration::from_secs(pause)));
            now += Duration::from_secs(pause);
        }
        trackers.due(now, true);
        trackers.connected(0, peer);
        trackers.due(now, true);
        trackers.registered(0, TTL, now);
        assert_eq!(trackers.failed(0, Some(Asked::Discover), now, 0.0), 1);
        assert_eq!(trackers.next(true), Some(now + FIRST_PAUSE));
    }

    #[test]
    fn a_tracker_that_registers_nobody_is_still_asked() {
        let (mut trackers, peer, now) = one();
        trackers.due(now, true);
        trackers.connected(0, peer);
        assert_eq!(trackers.due(now, true), [Action::Register(0, peer)]);
        trackers.failed(0, Some(Asked::Register), now, 0.0);
        assert_eq!(trackers.due(now, true), [Action::Discover(0, peer, Since::Beginning)]);
        trackers.told(0, false);
        assert_eq!(trackers.due(now, true), []);
        assert_eq!(trackers.due(now + FIRST_PAUSE, true), [Action::Register(0, peer)]);
    }

    #[test]
    fn a_tracker_that_never_ends_is_cut_off() {
        let (mut trackers, peer, now) = one();
        trackers.due(now, true);
        trackers.connected(0, peer);
        trackers.due(now, true);
        trackers.registered(0, TTL, now);
        let mut pages = 0;
        while let [Action::Discover(..)] = trackers.due(now, true)[..] {
            pages += 1;
            assert_eq!(trackers.told(0, true), pages == MAX_PAGES);
        }
        assert_eq!(pages, MAX_PAGES);
    }

    #[test]
    fn leaving_takes_leave_where_it_is_registered_and_waits_for_nobody_else() {
        let (mut trackers, peer, now) = one();
        trackers.leave(now);
        assert!(trackers.has_left() && trackers.due(now, true).is_empty(), "it was registered nowhere");
        for answers in [true, false] {
            let (mut trackers, _, _) = one();
            trackers.connected(0, peer);
            trackers.due(now, true);
            trackers.registered(0, TTL, now);
            trackers.disconnected(&peer);
            trackers.leave(now);
            assert!(!trackers.has_left());
            assert!(matches!(trackers.due(now, true)[..], [Action::Dial(0, _)]));
            if answers {
                trackers.connected(0, peer);
                assert_eq!(trackers.due(now, true), [Action::Unregister(0, peer)]);
                trackers.unregistered(0);
            } else {
                trackers.failed(0, None, now, 0.0);
            }
            assert!(trackers.has_left() && trackers.due(now, true).is_empty());
        }
    }
}
