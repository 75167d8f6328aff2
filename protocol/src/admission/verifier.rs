//! The side that asks for work and checks it.

use super::{
    event::Outcome,
    message::Refusal,
    puzzle::{Purpose, Puzzle},
};
use crate::{network_group::NetworkGroup, peer::Peer, time::Time};
use conclave_ledger::hash::NetworkId;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Most challenges that are outstanding at once.
pub const MAX_OUTSTANDING: usize = 256;

/// Most of them in one part of the network.
pub const MAX_OUTSTANDING_IN_GROUP: usize = 64;

/// Most admissions that are remembered; the oldest is forgotten first.
pub const MAX_ADMITTED: usize = 4096;

/// Most nonces that are remembered after their time, so that a replay is known as one.
pub const MAX_SPENT: usize = 1024;

#[derive(Clone, Copy)]
struct Challenge {
    nonce: u64,
    group: NetworkGroup,
    until: Time,
}

/// What became of a nonce.
#[derive(Clone, Copy)]
struct Spent {
    nonce: u64,
    peer: Peer,
    reason: Refusal,
}

/// Who is asked for what, and who has answered.
#[derive(Default)]
pub(super) struct Verifier {
    outstanding: BTreeMap<Peer, Challenge>,
    spent: VecDeque<Spent>,
    admitted: BTreeMap<Peer, Time>,
}

/// What a peer that joined needs.
pub(super) enum Needs {
    Nothing(Outcome),
    Work(u64),
    Patience,
}

impl Verifier {
    /// A peer that dialled this node and is no validator.
    pub(super) fn joined(
        &mut self,
        peer: Peer,
        group: NetworkGroup,
        nonce: u64,
        expiry: Duration,
        now: Time,
    ) -> Needs {
        if self.admitted.get(&peer).is_some_and(|until| now < *until) {
            return Needs::Nothing(Outcome::Remembered);
        }
        self.left(&peer);
        let in_group = self.outstanding.values().filter(|challenge| challenge.group == group).count();
        if self.outstanding.len() >= MAX_OUTSTANDING || in_group >= MAX_OUTSTANDING_IN_GROUP {
            return Needs::Patience;
        }
        self.outstanding.insert(peer, Challenge { nonce, group, until: now + expiry });
        Needs::Work(nonce)
    }

    /// What is left open ends with the connection.
    pub(super) fn left(&mut self, peer: &Peer) {
        if let Some(challenge) = self.outstanding.remove(peer) {
            self.spend(challenge.nonce, *peer, Refusal::Expired);
        }
    }

    fn spend(&mut self, nonce: u64, peer: Peer, reason: Refusal) {
        if self.spent.len() >= MAX_SPENT {
            self.spent.pop_front();
        }
        self.spent.push_back(Spent { nonce, peer, reason });
    }

    /// Checks an answer.
    pub(super) fn check(
        &mut self,
        (network, verifier, bits): (NetworkId, Peer, u8),
        prover: Peer,
        (nonce, solution): (u64, u64),
        (now, remember): (Time, Duration),
    ) -> Result<(), Refusal> {
        let Some(challenge) = self.outstanding.get(&prover).filter(|challenge| challenge.nonce == nonce)
        else {
            return Err(self.reason_without_challenge(prover, nonce));
        };
        let in_time = now < challenge.until;
        let puzzle = Puzzle { purpose: Purpose::Admission, network, verifier, prover, nonce, bits };
        let result = match (in_time, puzzle.is_solved_by(solution)) {
            (false, _) => Err(Refusal::Expired),
            (true, false) => Err(Refusal::NoWork),
            (true, true) => Ok(()),
        };
        self.outstanding.remove(&prover);
        self.spend(nonce, prover, result.err().filter(|_| !in_time).unwrap_or(Refusal::Replayed));
        if result.is_ok() {
            self.remember(prover, now + remember);
        }
        result
    }

    fn reason_without_challenge(&self, prover: Peer, nonce: u64) -> Refusal {
        let of_another = |(peer, challenge): (&Peer, &Challenge)| *peer != prover && challenge.nonce == nonce;
        if self.outstanding.iter().any(of_another) {
            return Refusal::ForeignChallenge;
        }
        match self.spent.iter().rev().find(|spent| spent.nonce == nonce) {
            Some(spent) if spent.peer == prover => spent.reason,
            Some(_) => Refusal::ForeignChallenge,
            None => Refusal::UnknownChallenge,
        }
    }

    fn remember(&mut self, peer: Peer, until: Time) {
        if self.admitted.len() >= MAX_ADMITTED && !self.admitted.contains_key(&peer) {
            let oldest = self.admitted.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            oldest.map(|oldest| self.admitted.remove(&oldest));
        }
        self.admitted.insert(peer, until);
    }

    /// A peer that lied works again.
    pub(super) fn forget(&mut self, peer: &Peer) {
        self.admitted.remove(peer);
    }

    /// Those who did not answer in time.
    pub(super) fn expire(&mut self, now: Time) -> Vec<Peer> {
        let late: Vec<Peer> = self
            .outstanding
            .iter()
            .filter(|(_, challenge)| challenge.until <= now)
            .map(|(peer, _)| *peer)
            .collect();
        late.iter().for_each(|peer| self.left(peer));
        late
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.outstanding.values().map(|challenge| challenge.until).min()
    }
}
