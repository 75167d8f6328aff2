//! Mining: how blocks by proof of work spread, how branches are followed, and when work is done.
//!
//! **Blocks spread compactly.** A node that has adopted a block announces it to every peer that has not announced it
//! itself: the header, and for each transaction a short id of 64 bits, which is keyed with the block's hash so that
//! nobody can prepare two that share one. Whoever has the transactions in its pool puts the block together; what it lacks
//! it asks the announcer for. If the result is not what the header binds (a short id that two transactions share), the
//! whole block is asked for.
//!
//! **Headers first.** A header says all that it takes to know how much work was done, so branches are compared by headers
//! alone. A node asks each peer for headers when it meets it, when it hears of a block whose parent it does not know, and
//! every `ask_interval`, with a *locator*: places back from the best header it knows, in growing steps. The answer is the
//! headers on the peer's chain after the last place that both have.
//!
//! **Blocks of branches that could win** are then asked for, from several peers at once, the lowest first. A branch whose
//! blocks are all here and on which more work was done than on the chain is tried ([`Event::Adopt`]); the node answers
//! with [`Command::Adopted`] or [`Command::Refused`]. Of branches with the same work the first seen stays.
//!
//! **Peers that keep silent** hold nobody up. Whoever was asked in vain (its answer came too late, or not at all) is asked
//! after the others, who are asked for the same at the same time; and nobody is asked twice for a block before everybody
//! was asked once. A block that nobody has given for `withheld_after` of [`Config`], though its branch lacks nothing below
//! it, is withheld: until it comes, its branch counts for nothing, other branches are fetched before it, and miners go on
//! where they are. Otherwise two headers that somebody shows, and whose blocks he hides, would stop every miner.
//!
//! **Whom to believe.** A peer's headers are checked one by one, the proof of work first; one that breaks a rule is a
//! provable lie. A node gives only blocks that it has adopted once, so a block that turns out to be invalid is one, too.
//! Headers that are valid but lead nowhere (less work than the chain has) cost their maker as much work as good ones; each
//! peer may give so many of them for a while ([`LOW_WORK`]), and they are the first to be forgotten. A full answer that
//! tells nothing new is not followed by another question at once.
//!
//! Timestamps in the future are kept out before they get here, by whoever has a clock.
//!
//! Bounds: one request for headers, one for blocks (at most [`MAX_BLOCKS_ASKED`]) and [`MAX_PARTIAL`] blocks being put
//! together at a time for each peer; [`MAX_LOOKUPS`] of its requests being looked up. The tree has its own.
//!
//! [`Miner`] is the other machine: it says when a template is to be built and worked on.

mod machine;
mod message;
mod miner;
mod serving;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use machine::{Command, Config, Event, LOW_WORK, MAX_LOOKUPS, MAX_PARTIAL, Mining, Standing};
pub use message::{
    CompactBlock, MAX_BLOCKS_ASKED, MAX_COMPACT_BYTES, MAX_HEADERS_ANSWERED, MAX_LOCATOR, MAX_REQUEST_BYTES,
    MAX_RESPONSE_BYTES, Message, Place, Request, Response, short_id,
};
pub use miner::{Miner, MinerCommand, MinerEvent};
pub use serving::respond;
