//! What every machine is: inputs in, outputs out, one deadline, and no way to touch the world.
//!
//! Laws, tested for every machine: hostile input neither panics nor errors, it yields a [`Penalty`]; after
//! `handle_timeout(now)` the next deadline is later than `now`, or none; a timeout that is not due is harmless;
//! the same inputs give the same outputs; memory is bounded by the configuration.

use crate::{peer::Peer, penalty::Penalty, time::Time};

/// A sans-IO state machine. The driver feeds inputs and timeouts, and after each drains `poll_output`.
pub trait Machine {
    /// What it exchanges with the same machine of other nodes.
    type Message;
    /// What its own node tells it.
    type Command;
    /// What it tells its own node.
    type Event;

    /// Takes one input.
    fn handle(&mut self, input: Input<Self>, now: Time);

    /// Does what is due at `now`.
    fn handle_timeout(&mut self, now: Time);

    /// The next output, in order; `None` when there is none until the next input.
    fn poll_output(&mut self) -> Option<Output<Self>>;

    /// When `handle_timeout` wants to be called.
    fn poll_timeout(&self) -> Option<Time>;
}

/// What a machine is told.
#[derive(Debug)]
pub enum Input<M: Machine + ?Sized> {
    /// A peer can be sent to. For all machines but the handshake: its handshake is done.
    Connected(Peer),
    /// A peer can no longer be sent to.
    Disconnected(Peer),
    /// A peer sent this.
    Received(Peer, M::Message),
    /// Its own node wants this.
    Command(M::Command),
}

/// What a machine wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<M: Machine + ?Sized> {
    /// Send this to a peer, after everything sent to it before.
    Send(Peer, M::Message),
    /// Lower a peer's score.
    Penalize(Peer, Penalty),
    /// Tell the node.
    Emit(M::Event),
}
