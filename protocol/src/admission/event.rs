//! What the machine is told and what it tells.

use super::{message::Refusal, puzzle::Puzzle};
use crate::{network_group::NetworkGroup, peer::Peer};

/// What the node tells the machine.
#[derive(Clone, Copy, Debug)]
pub enum Command {
    /// A peer finished its handshake.
    Joined {
        /// The peer.
        peer: Peer,
        /// Where its connection comes from.
        group: NetworkGroup,
        /// Whether this node dialled it.
        dialled: bool,
        /// Whether it is a validator, and needs no work.
        exempt: bool,
    },
    /// The search of [`Event::Solve`] has found this.
    Solved {
        /// Its number.
        ticket: u64,
        /// The solution.
        solution: u64,
    },
    /// A request got no answer.
    RequestFailed {
        /// Who was asked.
        peer: Peer,
        /// Number of the request.
        number: u64,
    },
}

/// How an admission ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// By work that was checked just now.
    Worked,
    /// By work that was checked not long ago.
    Remembered,
    /// Without work: a validator, or dialled by this node.
    Exempt,
}

/// What the machine tells the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Search for a solution, answered by [`Command::Solved`].
    Solve {
        /// Its number.
        ticket: u64,
        /// What to solve.
        puzzle: Puzzle,
    },
    /// Give that search up.
    Cancel {
        /// Its number.
        ticket: u64,
    },
    /// A peer is admitted here.
    Admitted {
        /// The peer.
        peer: Peer,
        /// How.
        outcome: Outcome,
    },
    /// A peer is not admitted: it is to be disconnected.
    Refused {
        /// The peer.
        peer: Peer,
        /// Why.
        reason: Refusal,
    },
    /// This node is admitted there.
    AdmittedBy {
        /// The peer.
        peer: Peer,
    },
    /// This node is not admitted there.
    RefusedBy {
        /// The peer.
        peer: Peer,
        /// Why.
        reason: Refusal,
    },
}
