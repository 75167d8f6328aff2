//! Where the handshake with a peer is.

use super::{
    event::Direction,
    message::{Hello, Role},
};
use crate::time::Time;
use conclave_ledger::{hash::Hash, keys::Signature};

/// A connection to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) direction: Direction,
    pub(super) since: Time,
}

/// Where a handshake is. The listener's steps wait for requests, the dialer's for responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Listener, before a `Hello`.
    AwaitHello,
    /// Listener, `Hello` answered.
    AwaitProof(Hello),
    /// Listener, `Proof` answered, which came with this signature.
    AwaitDone(Hello, Signature),
    /// Dialer, `Hello` sent.
    SentHello(u64),
    /// Dialer, `Proof` sent.
    SentProof(u64, Hello),
    /// Dialer, `Done` sent.
    SentDone(u64, Hello),
    /// Done, with what the peer said and proved.
    Established(Hello),
}

/// What is kept of a peer.
pub(super) struct State {
    /// The connection that is kept, then those that are being closed.
    pub(super) connections: Vec<Connection>,
    /// The one that was kept last.
    pub(super) latest: Connection,
    /// Whether it was refused or took its leave, so that the next connection begins anew.
    pub(super) is_over: bool,
    /// Whether it has said that it does not speak this handshake; why is perhaps still to come.
    pub(super) is_unsupported: bool,
    /// Whether the request of the present step was lost and no connection is there to send it again.
    pub(super) is_unsent: bool,
    pub(super) challenge: Hash,
    /// The peer's challenge in this handshake: a `Hello` that has it was sent again, or crossed ours.
    pub(super) theirs: Option<Hash>,
    /// Requests that were sent again.
    pub(super) resent: u32,
    pub(super) step: Step,
    pub(super) role: Option<Role>,
    pub(super) deadline: Option<Time>,
}

impl State {
    /// Before the first word on a peer's first connection.
    pub(super) fn new(connection: Connection, challenge: Hash) -> Self {
        Self {
            connections: vec![connection],
            latest: connection,
            is_over: false,
            is_unsupported: false,
            is_unsent: false,
            challenge,
            theirs: None,
            resent: 0,
            step: Step::AwaitHello,
            role: None,
            deadline: None,
        }
    }
}

/// Whether this node is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// Acknowledgements are waited for until then.
    Until(Time),
    Done,
}
