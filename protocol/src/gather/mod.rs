//! Gathering: N parties who know nothing of each other but the address of a tracker make one genesis file together.
//!
//! Each party has a node key (its peer id), a validator key and a name, and the same *terms* as the others: the name of
//! the network, N, and what the genesis file says of faults and delays. All of them must take part and agree; there is
//! no majority here, because nobody can say yet who counts.
//!
//! ```text
//! register with the tracker, each with a *run*: a number that this party never uses again
//! wait until N are registered                       roster: the first N by (run, peer id)
//! connect to each, directly
//! round 1   Card {terms, run, hash of the roster, name, validator key, clock}     signed by the node key
//!           with N equal rosters and terms, each card from its own party: the genesis follows by rule;
//!           the tracker is let go
//! round 2   Held {all N cards, signature on the genesis}                  signed by node key and validator key
//! round 3   Complete {all N signatures}
//!           done when everybody has said so, or a while after this party holds them all
//! ```
//! **The genesis by rule.** Validators in the order of their names; `created_ms` is the lower median of the parties'
//! clocks, so that a minority cannot move it out of the range of the others; the terms; the defaults for the rest.
//!
//! **Liars.** A party signs one card and one genesis in a run. Everybody passes on what it holds before it ends, well or
//! badly (`Held`, `Stopped`), so whoever shows different cards or signatures to different parties is found by all of
//! them: two different statements of one run under one node key are the proof, whoever passed them on. What was signed
//! in another run proves nothing, so old statements cannot be used against anybody. What a party says *about* another
//! is a claim, and is told as what that party claims.
//!
//! **Safety.** An honest party ends with a genesis only if all N have signed it, and signs one only; so no two honest
//! parties end with different ones. Whether all end with it is another matter: who holds the last signature passes it
//! on before it ends, but a liar who gives it away at the last moment, or a cut, can leave some without. They end with
//! an error that names who is missing; the file of the others is good, and they may take it.
//!
//! **The tracker** is believed in nothing but who is there: it can leave people out, or name those who then do not
//! answer, or tell different parties different rosters. Each is found in round 1 and ends in an error.
//!
//! A deviation from rounds of Dolev–Strong: there are no windows here, but one time limit from the roster to the last
//! signature, because Δ is not agreed upon before the end.

mod config;
mod evidence;
mod failure;
mod machine;
pub mod message;
mod roster;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use failure::{Failure, Reason};
pub use machine::{Command, Event, Gather, Gathered};
pub use message::{Card, MAX_MESSAGE_BYTES, Message, Seat, SignedCard, Signing, Terms};

/// Most parties that gather.
pub const MAX_PARTIES: usize = 128;
