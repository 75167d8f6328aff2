//! Dissemination of transactions: pushed once by the node at which they are submitted, announced by everybody else
//! only where that was not enough.
//!
//! 1. The node at which a transaction is submitted **pushes** it at once to all its peers.
//! 2. A node that got it from a peer, and admitted it to its pool, waits `announce_delay`. If it is still not
//!    decided then, it **announces** the id (`Have`) to the peers that are not known to have it.
//! 3. Who lacks it **pulls** it (`Want`), and asks another announcer after `pull_timeout`.
//!
//! In the good case a transaction is decided before anybody announces it, so each node receives it exactly once:
//! `n − 1` copies. Gossipsub, which the network page names for this, sends it over every link of the mesh, nine
//! copies at four nodes. In the bad case (a submitter that tells one node only, a lost connection) all nodes have
//! it one delay and one pull later, within `Δ`, which is what the opening of heights rests on.
//!
//! What a peer sends is admitted, or refused by a rule of the ledger. A transaction that no state would admit (a false
//! signature, another network's) is a serious offence. One that this node's state refuses may be good at the peer's, so
//! nobody is blamed for it; but each takes a token of its peer's bucket (`refused`), and whoever goes beyond that is
//! blamed for each further message, seriously from [`MANY_REFUSED`] in one on. What found no room costs nothing: it says nothing of who sent it.
//!
//! Bounds: [`MAX_TRACKED`] transactions are tracked, [`MAX_WANTED`] ids pulled at a time, of which each peer was the
//! first to announce at most [`MAX_WANTED_OF_PEER`], [`MAX_BUCKETS`] buckets are kept, and messages are cut at [`MAX_ITEMS`] and
//! [`BATCH_BYTES`].

mod machine;
mod message;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use machine::{
    Command, Config, Dissemination, Event, MANY_REFUSED, MAX_BUCKETS, MAX_TRACKED, MAX_WANTED,
    MAX_WANTED_OF_PEER,
};
pub use message::{BATCH_BYTES, MAX_ITEMS, MAX_MESSAGE_BYTES, Message};
