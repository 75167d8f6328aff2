//! The side that works: for whom, how many at once, and until when.

use super::{event::Event, message::Request, puzzle::Puzzle};
use crate::{peer::Peer, time::Time};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// Searches at once.
pub const MAX_SOLVING: usize = 2;

/// Most challenges that wait for their turn.
pub const MAX_WAITING: usize = 64;

/// Most challenges and welcomes that are kept because they came before the end of this node's own dial.
pub const MAX_EARLY: usize = 64;

/// How many bits more than its own a node solves for others: each doubles the work.
pub const MAX_EXTRA_BITS: u8 = 4;

/// How long they are kept.
const EARLY: Duration = Duration::from_secs(5);

struct Job {
    ticket: u64,
    puzzle: Puzzle,
    until: Time,
}

/// The challenges of others.
#[derive(Default)]
pub(super) struct Prover {
    /// Peers that this node dialled: the only ones it works for.
    dialled: BTreeSet<Peer>,
    early: BTreeMap<Peer, (Request, Time)>,
    solving: Vec<Job>,
    waiting: VecDeque<Job>,
    tickets: u64,
}

impl Prover {
    /// A peer that this node dialled; gives the challenge or the welcome that came before this was known.
    pub(super) fn dialled(&mut self, peer: Peer, now: Time) -> Option<Request> {
        self.dialled.insert(peer);
        let (request, until) = self.early.remove(&peer)?;
        (now < until).then_some(request)
    }

    /// Whether this node dialled the peer; if not, what it says is kept for a moment.
    pub(super) fn has_dialled(&mut self, peer: Peer, request: Request, now: Time) -> bool {
        if self.dialled.contains(&peer) {
            return true;
        }
        self.early.retain(|_, (_, until)| now < *until);
        if self.early.len() < MAX_EARLY {
            self.early.insert(peer, (request, now + EARLY));
        }
        false
    }

    /// A challenge to be solved; a newer one of the same verifier takes the place of the older.
    pub(super) fn challenge(&mut self, puzzle: Puzzle, until: Time) -> Vec<Event> {
        let mut events = self.drop_jobs(|job| job.puzzle.verifier == puzzle.verifier);
        if self.waiting.len() < MAX_WAITING {
            self.tickets += 1;
            self.waiting.push_back(Job { ticket: self.tickets, puzzle, until });
        }
        events.extend(self.start());
        events
    }

    /// A search has found something; gives the puzzle, if its answer is still wanted.
    pub(super) fn solved(&mut self, ticket: u64) -> (Option<Puzzle>, Vec<Event>) {
        let position = self.solving.iter().position(|job| job.ticket == ticket);
        let puzzle = position.map(|position| self.solving.remove(position).puzzle);
        (puzzle, self.start())
    }

    /// The peer is gone: nobody waits for the work.
    pub(super) fn left(&mut self, peer: &Peer) -> Vec<Event> {
        self.dialled.remove(peer);
        let mut events = self.drop_jobs(|job| job.puzzle.verifier == *peer);
        events.extend(self.start());
        events
    }

    /// Ends what would come too late.
    pub(super) fn expire(&mut self, now: Time) -> Vec<Event> {
        let mut events = self.drop_jobs(|job| job.until <= now);
        events.extend(self.start());
        events
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.solving.iter().chain(&self.waiting).map(|job| job.until).min()
    }

    fn drop_jobs(&mut self, is_over: impl Fn(&Job) -> bool) -> Vec<Event> {
        self.waiting.retain(|job| !is_over(job));
        let (over, going_on) = std::mem::take(&mut self.solving).into_iter().partition(is_over);
        self.solving = going_on;
        let over: Vec<Job> = over;
        over.into_iter().map(|job| Event::Cancel { ticket: job.ticket }).collect()
    }

    fn start(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while self.solving.len() < MAX_SOLVING
            && let Some(job) = self.waiting.pop_front()
        {
            events.push(Event::Solve { ticket: job.ticket, puzzle: job.puzzle });
            self.solving.push(job);
        }
        events
    }
}
