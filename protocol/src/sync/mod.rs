//! Sync: catching up with decided heights, and pulling single blocks for consensus.
//!
//! A node knows its peers' heights from their handshakes, from `Status` and from consensus. When one is ahead and
//! the own height has not moved for `patience` (consensus may be about to decide it anyway), the node pulls ranges
//! of heights from several peers at once, and delivers them in order, one range at a time. The node verifies each
//! height against the validator set of that height before it applies it. A peer whose range does not hold is
//! blamed, and everything that came from it and is not applied yet is thrown away with it.
//!
//! Nodes that decide are told of new heights by consensus; nodes that only follow are told by `Status`, at most
//! every `announce_interval`. An idle network is quiet.
//!
//! **Proofs.** Two nodes may hold different, equally good proofs of the last heights, which no block carries yet: each
//! knows the signatures that reached it. With every height a node says a *fingerprint* of the proofs it has. Who sees
//! another fingerprint at its own height, for `proofs_patience`, asks for those proofs, once for each fingerprint that
//! a peer says, and adds what it lacks; then its own fingerprint is another, and it says so. Each round adds
//! signatures to somebody's proofs, of which there are as many as validators, so the exchange ends: with the same
//! proofs everywhere, and silence. The same question finds a certificate that outranks what was decided here without
//! one (R1), when heights that a peer gives do not follow this node's.
//!
//! Bounds: [`MAX_IN_FLIGHT`] ranges under way or waiting to be applied, one for each peer; [`MAX_LOOKUPS`] answers
//! being looked up for each peer; [`MAX_FETCHES`] single blocks; [`MAX_PROOFS`] proofs in a response, one such request
//! to each peer at a time.

mod answer;
mod machine;
mod message;
mod proofs;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use answer::respond;
pub use machine::{Command, Config, Event, MAX_FETCHES, MAX_IN_FLIGHT, MAX_LOOKUPS, Sync};
pub use message::{
    MAX_HEIGHTS, MAX_PROOFS, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Message, ProvedHeight, ProvedValue,
    RESPONSE_BYTES, Request, Response,
};
