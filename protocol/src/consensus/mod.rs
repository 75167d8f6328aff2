//! Dolev–Strong with certificates: one engine, two ways to finish a height.
//!
//! # The protocol
//!
//! `n` validators, at most `f` of them faulty, `Δ` the bound on delivering a message and the block that it names
//! between two honest nodes; all from the genesis file. A *window* is `2Δ` on the node's own clock, counted from
//! the moment at which the node opened the height. The leader of a height follows from the decided chain.
//!
//! A validator signs `Vote(x)` once in a height, for one `x`, a block or `Skip`; `Endorse(b)` for a block that it
//! extracts when its vote is spent; `Relay(x)` once for a certificate and once for a support. Votes and
//! endorsements of `b` are *chain signatures*; a *chain* on `b` holds some of them, the leader's among them. A
//! *certificate* on `x` is `q` votes for it; *support* for a block is `n − q + 1` votes for it.
//!
//! | rule | what | where |
//! |---|---|---|
//! | E1 | the leader builds a block, votes for it, sends block and vote to all | `instance/extraction.rs` |
//! | E2 | a complete chain of at least `w` signatures in window `w ≤ f+1`: extract, sign, send the longer chain; two blocks at most | `instance/extraction.rs` |
//! | E3 | an invalid block is extracted like any other, but never voted for and never decided | `instance/extraction.rs` |
//! | V1 | who has not voted by the end of window 1 votes `Skip` | `instance/votes.rs` |
//! | C1 | a certificate assembled from votes in window 1 or 2 is accepted | `instance/votes.rs` |
//! | C2 | who accepts one in window `w ≤ f+2` decides at once and sends it with its relay | `instance/votes.rs` |
//! | C3 | one that comes in a message is accepted in windows 1 and 2, and in window `w ≥ 3`, up to f+3, with `w − 2` relays | `instance/votes.rs` |
//! | S1 | without a certificate at the end of window 2, support is accepted, relayed and counted like one | `instance/support.rs` |
//! | P1 | who is undecided at the start of window f+3 sends `Closing` | `instance/closing.rs` |
//! | end | the accepted certificate's value; else the one extracted block, if valid and supported; else `Skip` | `instance/closing.rs` |
//! | P2 | with `f < n/3`, without a certificate, only with `Closing` from `q` validators, and only if votes of `q` were here by the end of window 2; otherwise the height halts, or is late | `instance/closing.rs` |
//! | P3 | how a halted height, or one opened after a restart, is closed later | `instance/closing.rs` |
//! | R1 | a certificate outranks a decision made without one, unless `n − f` have committed to it: go back and follow it | `machine.rs` |
//!
//! Sources: D. Dolev, H. R. Strong, *Authenticated Algorithms for Byzantine Agreement*, SIAM J. Comput. 12(4),
//! 1983; I. Abraham, K. Nayak, L. Ren, Z. Xiang, *Good-case Latency of Byzantine Broadcast*, PODC 2021. Why the
//! combination is right is argued in `docs/consensus.md`.
//!
//! # Where the code differs from the rules' words
//!
//! - The certificate of C2 is sent a quarter of `Δ` after the decision, and only to peers that have not shown by a
//!   `Decided` or a message of a later height that they have decided; that wait is part of `Δ`.
//! - In plain mode (`fast = false`) every chain signature is an endorsement: there are no votes.
//! - A body is kept if it is the leader's or a chain that is long enough names it, two at most beside that of a
//!   certificate; any other is pulled when its chain has grown long enough, within the same `Δ`.
//! - A node that restarts does not know how far the others' windows are: its first height is *late* and closes by
//!   certificate, by commits, or by P3, never by its own clock.
//! - A node that was away when the others opened a height does not know how far their windows are. A height is
//!   therefore *late* if it is opened less than `Δ` after the node was connected to all but `f` validators, or less than
//!   `Δ` after it came to the height out of step with them (see `machine.rs`); if that many are not connected all the
//!   time until it is decided; if, with `f < n/3`, the votes of a quorum are not here by the end of window 2, which says the
//!   same of a cut that no connection has told of; and if the log holds a signature for it from before a restart. Late heights close by
//!   certificate, by commits, or by P3, never by the node's own clock.
//!
//! # What the machine needs
//!
//! Building, checking and pulling blocks, and writing the log, leave as an [`Event`] and come back as a
//! [`Command`]. [`Event::Append`] is a barrier: outputs that follow it take effect once the record is synced.

mod config;
mod event;
mod instance;
mod machine;
mod message;
mod record;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use event::{Command, Event, Past, Verdict};
pub use instance::{BLOCKS_PER_SENDER, MAX_BODIES, MAX_EXTRACTED};
pub use machine::{BLOCKS_AHEAD, Consensus, HEIGHTS_AHEAD, MESSAGES_AHEAD, RETIRED_HEIGHTS};
pub use message::{MAX_BLOCK_OVERHEAD_BYTES, MAX_SMALL_MESSAGE_BYTES, Message};
pub use record::SignedRecord;
