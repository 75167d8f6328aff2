//! The handshake: who is there, and what it can prove; also whom to dial, and which of two connections to keep.
//!
//! ```text
//! dialer                                  listener
//!   Hello(network, role, challenge D) ──►             network other: Refused
//!                        ◄── Hello(…, challenge L)
//!   Proof(sign over L, D→L, role) ──────►             false: Refused, and blamed
//!                        ◄── Proof(sign over D, L→D, role)
//!   Done ───────────────────────────────►             both take part
//!                        ◄── Done
//! ```
//! Every answer has to come within `response_timeout`. Nothing else is accepted from a peer before its handshake
//! is done: the driver opens its channels on [`Event::Established`] and not before.
//!
//! **One connection.** Two nodes that dial each other at once keep the connection that the smaller identifier (in
//! byte order) dialled; both sides compute the same, and the handshake goes on over it: it is between two peers, not
//! two ends of a connection. If both have said `Hello`, the larger identifier takes its own back. A request that was
//! lost with the other connection is sent again, and answered again. A second connection that is *not* of that kind means that the
//! other side has lost its end of the first (it was restarted, and this side has not noticed, as happens with
//! QUIC): the newer one is then kept and the handshake begins anew. Closing the newer one instead would lock a
//! restarted validator out until the old connection times out.
//!
//! **Dialling.** Configured addresses are dialled with exponential pauses; after `max_attempts` the machine says
//! so and goes on slowly. A peer that has no place for this node is left alone ever longer, up
//! to a minute. Of two nodes that know each other the larger identifier waits a moment first.

mod answering;
mod asking;
mod checks;
mod config;
mod connections;
mod dialling;
mod event;
mod leaving;
mod losses;
mod machine;
mod message;
mod refusals;
mod state;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use config::Config;
pub use dialling::MAX_ADDRESSES;
pub use event::{Command, Direction, Event, RefusedBy};
pub use machine::{Handshake, MAX_PEERS};
pub use message::{
    Binding, Hello, MAX_MESSAGE_BYTES, MAX_VERSION_BYTES, Message, RefusalReason, Request, Response, Role,
};
