//! Admission: an observer works before it is believed, so that identities without number cost something each.
//!
//! ```text
//! prover (it dialled)                        verifier
//!                    ◄── Challenge(nonce, bits)      after the handshake
//!   Accepted ──────────────────────────────►
//!   … searches for a solution, seconds …
//!   Solution(nonce, solution) ─────────────►         right: admitted
//!                    ◄── Admitted, or Refused(reason)
//! ```
//! The [puzzle](Puzzle) binds the work to both nodes and to one random nonce: it can be neither bought from somebody
//! who did it for himself, nor shown to two verifiers, nor shown twice. Validators with a finished handshake are
//! exempt, and so are peers that this node dialled: it chose them. Who needs no work is told so by `Welcome`. An
//! admission holds for [`Config::remember`], so that a connection that breaks does not cost the work again.
//!
//! **Who works for whom.** A node answers challenges of peers that it dialled itself and of no others, two at once
//! ([`MAX_SOLVING`]); the rest wait their turn. A challenge of anybody else is ignored without blame: it may cross the
//! end of this node's own dial. A challenge that asks for far more than this node would ask of others
//! ([`MAX_EXTRA_BITS`]) is refused.
//!
//! **Every answer that is not right has its own reason** ([`Refusal`]), is blamed where no honest node would give it,
//! and ends the connection. One challenge is outstanding for each peer, for [`Config::expiry`]; so are at most
//! [`MAX_OUTSTANDING`] in all, and [`MAX_OUTSTANDING_IN_GROUP`] in one part of the network.
//!
//! The search leaves as [`Event::Solve`] and comes back as [`Command::Solved`]; [`Event::Cancel`] ends one that nobody
//! needs any more.

mod event;
mod machine;
mod message;
mod prover;
mod puzzle;
mod verifier;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use event::{Command, Event, Outcome};
pub use machine::{Admission, Config};
pub use message::{MAX_MESSAGE_BYTES, Message, Refusal, Request, Response};
pub use prover::{MAX_EARLY, MAX_EXTRA_BITS, MAX_SOLVING, MAX_WAITING};
pub use puzzle::{MAX_BITS, Purpose, Puzzle, Search};
pub use verifier::{MAX_ADMITTED, MAX_OUTSTANDING, MAX_OUTSTANDING_IN_GROUP, MAX_SPENT};
