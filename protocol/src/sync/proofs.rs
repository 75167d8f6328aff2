//! The exchange of proofs: until everybody has the same.

use super::{
    machine::{Event, Sync},
    message::{MAX_PROOFS, ProvedValue, Request},
};
use crate::{peer::Peer, time::Time};
use conclave_ledger::signed::Height;

/// Times that heights of a peer may not follow this node's before they are asked for only when it speaks of them anew.
const MAX_DISPUTES: u32 = 3;

/// What this node has.
#[derive(Default)]
pub(super) struct OwnProofs {
    /// The oldest height whose proof is of use.
    from: Height,
    pub(super) fingerprint: u64,
    /// Whether a height from there on may have to give way.
    uncertain: bool,
    /// When peers whose proofs differ are asked.
    pub(super) ask_at: Option<Time>,
}

/// What a peer has.
#[derive(Default)]
pub(super) struct PeerProofs {
    /// Height and fingerprint that it said last.
    said: Option<(Height, u64)>,
    /// Those for which it was asked.
    asked: Option<(Height, u64)>,
    /// Number of the request that it has not answered.
    pending: Option<u64>,
    /// How often heights that it gave did not follow this node's.
    disputes: u32,
}

impl Sync {
    pub(super) fn set_proofs(&mut self, from: Height, fingerprint: u64, uncertain: bool, now: Time) {
        let is_news = self.proofs.fingerprint != fingerprint;
        (self.proofs.from, self.proofs.fingerprint, self.proofs.uncertain) = (from, fingerprint, uncertain);
        if is_news {
            self.announce_soon(now);
        }
        self.schedule_proofs(now);
    }

    pub(super) fn told(&mut self, peer: Peer, height: Height, fingerprint: u64, now: Time) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.proofs.said = Some((height, fingerprint));
            self.schedule_proofs(now);
        }
    }

    /// Peers at this node's height (or, where this node is uncertain, at any that matters) whose proofs differ and that
    /// were not asked for these.
    fn differing(&self) -> Vec<Peer> {
        let matters = |height: Height| {
            height > 0 && (height == self.height || (self.proofs.uncertain && height >= self.proofs.from))
        };
        let differs = |proofs: &PeerProofs| {
            let said = proofs.said.filter(|(height, _)| matters(*height));
            said.is_some_and(|(_, fingerprint)| fingerprint != self.proofs.fingerprint)
                && proofs.said != proofs.asked
                && proofs.pending.is_none()
        };
        self.peers.iter().filter(|(_, state)| differs(&state.proofs)).map(|(peer, _)| *peer).collect()
    }

    fn schedule_proofs(&mut self, now: Time) {
        if self.proofs.ask_at.is_none() && !self.differing().is_empty() {
            self.proofs.ask_at = Some(now + self.config.proofs_patience);
        }
    }

    pub(super) fn ask_proofs(&mut self, now: Time) {
        if self.proofs.ask_at.is_some_and(|at| at <= now) {
            self.proofs.ask_at = None;
            for peer in self.differing() {
                self.ask_proofs_of(peer);
            }
        }
    }

    fn ask_proofs_of(&mut self, peer: Peer) {
        let number = self.request(peer, Request::Proofs { from: self.proofs.from, limit: MAX_PROOFS });
        if let Some(state) = self.peers.get_mut(&peer) {
            (state.proofs.asked, state.proofs.pending) = (state.proofs.said, Some(number));
        }
    }

    pub(super) fn received_proofs(&mut self, peer: Peer, number: u64, proofs: Vec<ProvedValue>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.proofs.pending != Some(number) {
            return;
        }
        state.proofs.pending = None;
        if proofs.len() > MAX_PROOFS as usize {
            return self.blame(peer, "more proofs than were asked for");
        }
        self.emit(Event::Proofs { peer, proofs });
    }

    /// It is asked again when it says something else.
    pub(super) fn proofs_failed(&mut self, peer: Peer, number: u64) {
        if let Some(state) = self.peers.get_mut(&peer).filter(|state| state.proofs.pending == Some(number)) {
            state.proofs.pending = None;
        }
    }

    /// The peer's heights do not follow this node's. If it has a certificate that outranks what was decided here, this
    /// node goes back; otherwise the peer's heights are of no use, and after a few times not asked for any more.
    pub(super) fn disputed(&mut self, peer: Peer) {
        self.delivered = None;
        self.forget_ranges(peer);
        let height = self.height;
        if let Some(state) = self.peers.get_mut(&peer) {
            state.proofs.disputes = state.proofs.disputes.saturating_add(1);
            if state.proofs.disputes >= MAX_DISPUTES {
                // Until it speaks of a height again.
                state.height = state.height.min(height);
            }
            if state.proofs.pending.is_none() {
                self.ask_proofs_of(peer);
            }
        }
    }
}
