//! Peer exchange: a node asks another for addresses, and the other works for what it says.
//!
//! ```text
//! asker                                   responder
//!   Peers(limit, nonce, bits) ──────────►            admitted, and not too soon again
//!                                         … searches for a solution, seconds …
//!                    ◄── Peers(solution, records), or Refused(reason)
//! ```
//! Addresses are [records](crate::peer_record) that the peers themselves signed: nobody can lie about another's
//! address, only hold some back. The work is bound to both nodes and the asker's nonce
//! ([`Puzzle`](crate::admission::Puzzle)), so a responder pays for each answer, and cheap identities cannot pour their
//! own kind over everybody. Validators have proved who they are and answer without.
//!
//! **Who is answered.** Peers whose admission is settled, each once in [`MIN_INTERVAL`]. One search runs at a time
//! and [`MAX_WAITING`] wait; beyond that the answer is `Busy`, and the asker asks somebody else.
//!
//! **What is blamed.** A record that does not hold, more records than were asked for, or wrong work: an honest node has
//! checked what it passes on.

mod machine;
mod message;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use machine::{Command, Config, Event, MAX_WAITING, MIN_INTERVAL, PeerExchange};
pub use message::{
    MAX_RECORDS, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Message, Refusal, Request, Response, Told,
};
