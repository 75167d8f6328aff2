//! Networks of miners in virtual time: how often chains fork, and what a selfish miner wins.
//!
//! Light on purpose: no sockets, no transactions, and no hashes but those that make blocks differ. Blocks come by chance,
//! with exponential times between them, to each miner by its share of the hash rate; they spread over a random graph along
//! links with the delays of a table. What is not replaced is the rule: every node holds a real [`Tree`](conclave_ledger::proof_of_work::Tree), which says which
//! branch it mines on. The target is the easiest there is, so that every nonce meets it and chance alone decides who
//! finds a block and when.
//!
//! **Forks.** With `f(t)` the share of the hash rate that has a block `t` after it was found, and one block in `τ` on
//! average, the chance that another one is found meanwhile by somebody who has it not is
//!
//! ```text
//! 1 − exp(−(1/τ) · ∫ (1 − f(t)) dt)
//! ```
//! C. Decker, R. Wattenhofer, *Information Propagation in the Bitcoin Network*, IEEE P2P 2013, equation 4, whose
//! `1 − (1 − P_b)^∫` this is for a time that is not cut into seconds. `f` is measured in the same run.
//!
//! **Selfish mining.** A miner with the share `α` of the hash rate keeps its blocks back and publishes them so that others
//! work in vain; a share `γ` of the others works on its branch when two are equal. It wins
//!
//! ```text
//! (α(1−α)²(4α + γ(1−2α)) − α³) / (1 − α(1 + (2−α)α))
//! ```
//! of the blocks: I. Eyal, E. G. Sirer, *Majority is not Enough: Bitcoin Mining is Vulnerable*, Financial Cryptography 2014,
//! equation 8. What the selfish miner and the others see are trees as well; `γ` and `α` are given, and messages take no
//! time, as in the paper.

mod forks;
pub(crate) mod network;
pub mod plot;
mod selfish;

pub use forks::{ForkPoint, Forks, forks};
pub use network::{Graph, NEIGHBOURS};
pub use selfish::{SelfishPoint, eyal_sirer, selfish};
