//! Whom to dial and when: exponential pauses with jitter, and giving up loudly.

use super::{config::Config, event::Event};
use crate::{peer::Peer, time::Time};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::time::Duration;

/// Most addresses that are dialled.
pub const MAX_ADDRESSES: usize = 1024;

/// How long the larger identifier waits before its first dial, so that both need not dial.
const COURTESY: Duration = Duration::from_millis(150);

struct Address {
    address: String,
    peer: Option<Peer>,
    failures: u32,
    /// Since when its peer takes part.
    good_since: Option<Time>,
    next: Time,
    dialling: bool,
    /// Whether its peer has no use for this node, or no place, and said so on the connection that is there.
    is_unwelcome: bool,
    /// How often in a row it has said so.
    unwelcome: u32,
}

/// Pause before a peer is dialled again that had no use for this node, or no place; it doubles each time in a row.
const FIRST_UNWELCOME: Duration = Duration::from_secs(5);

/// The addresses.
#[derive(Default)]
pub(super) struct Dialling(Vec<Address>);

impl Dialling {
    pub(super) fn add(&mut self, config: &Config, peer: Option<Peer>, address: String, now: Time) {
        let known = self.0.iter().any(|known| known.address == address);
        if known || peer == Some(config.peer) || self.0.len() >= MAX_ADDRESSES {
            return;
        }
        let next = if peer.is_some_and(|peer| peer < config.peer) { now + COURTESY } else { now };
        self.0.push(Address {
            address,
            peer,
            failures: 0,
            good_since: None,
            next,
            dialling: false,
            is_unwelcome: false,
            unwelcome: 0,
        });
    }

    /// The dials that are due; `connected` says whom not to dial.
    pub(super) fn due(&mut self, now: Time, connected: impl Fn(&Peer) -> bool) -> Vec<Event> {
        let due = self.0.iter_mut().filter(|address| !address.dialling && address.next <= now);
        due.filter_map(|address| {
            if address.peer.as_ref().is_some_and(&connected) {
                // Looked at again when the peer is lost.
                address.next = Time(u64::MAX);
                return None;
            }
            address.dialling = true;
            Some(Event::Dial { address: address.address.clone() })
        })
        .collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.0
            .iter()
            .filter(|address| !address.dialling && address.next < Time(u64::MAX))
            .map(|a| a.next)
            .min()
    }

    /// A connection to `peer` is there, by dialling `address` if that is given.
    pub(super) fn connected(&mut self, peer: Peer, address: Option<&str>) {
        for known in &mut self.0 {
            if address == Some(known.address.as_str()) {
                known.peer = Some(peer);
                known.dialling = false;
            }
            if known.peer == Some(peer) {
                known.next = Time(u64::MAX);
            }
        }
    }

    /// The handshake with `peer` is done, so the address is good, if it lasts.
    pub(super) fn established(&mut self, peer: &Peer, now: Time) {
        self.0
            .iter_mut()
            .filter(|known| known.peer.as_ref() == Some(peer))
            .for_each(|known| known.good_since = Some(now));
    }

    /// The peer has no use for this node now, or no place: it is left alone for a while.
    pub(super) fn unwelcome(&mut self, peer: &Peer) {
        for known in self.0.iter_mut().filter(|known| known.peer.as_ref() == Some(peer)) {
            (known.is_unwelcome, known.good_since) = (true, None);
        }
    }

    /// No connection to `peer` is left. One that did not last, because the peer refuses this node after its handshake,
    /// counts as a failure like a dial that leads to nothing.
    pub(super) fn lost(&mut self, config: &Config, peer: &Peer, now: Time, random: &mut ChaCha20Rng) {
        for known in self.0.iter_mut().filter(|known| known.peer.as_ref() == Some(peer)) {
            if known.good_since.take().is_some_and(|since| now.since(since) > config.longest_retry) {
                known.failures = 0;
            }
            if std::mem::take(&mut known.is_unwelcome) {
                let pause = FIRST_UNWELCOME.saturating_mul(1 << known.unwelcome.min(16));
                known.next = now + pause.min(config.unwelcome_retry);
                known.unwelcome = known.unwelcome.saturating_add(1);
                continue;
            }
            known.unwelcome = 0;
            known.next = now + pause(config, known.failures, random);
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// A dial of `address` failed; the event says that it was one too many.
    pub(super) fn failed(
        &mut self,
        config: &Config,
        address: &str,
        now: Time,
        random: &mut ChaCha20Rng,
    ) -> Option<Event> {
        let known = self.0.iter_mut().find(|known| known.address == address)?;
        known.dialling = false;
        known.next = now + pause(config, known.failures, random);
        known.failures = known.failures.saturating_add(1);
        (known.failures == config.max_attempts).then(|| Event::GaveUp { address: known.address.clone() })
    }
}

fn pause(config: &Config, failures: u32, random: &mut ChaCha20Rng) -> Duration {
    let pause = if failures >= config.max_attempts {
        config.slow_retry
    } else {
        config.first_retry.saturating_mul(1 << failures.min(16)).min(config.longest_retry)
    };
    pause + pause.mul_f64(f64::from(random.next_u32()) / f64::from(u32::MAX) / 4.0)
}
