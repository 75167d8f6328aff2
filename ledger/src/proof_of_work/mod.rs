//! Proof of work: anyone may build the next block, and the branch on which most work was done is the chain.
//!
//! A header carries a [`Seal`]: the target of its height, in compact form, and a nonce. The block's hash, SHA-256 over the
//! whole header, is a proof of work if it is no larger than the target; nothing else signs a block. What a header has to
//! say follows from the one before it:
//!
//! - **Target**: that of the retarget rule (ASERT, `asert.rs`, within bounds), compared for equality.
//! - **Timestamp**: larger than the parent's, as under the other engine, so that time never goes back for an
//!   application. (Bitcoin's median of the last eleven allows steps back, which the rule here makes superfluous.) How far
//!   in the future it may be is not for the chain to say, which has no clock: nodes take no block that is more than
//!   [`Parameters::future_ms`] ahead of theirs, until it is not any more.
//! - **Transactions**: at least one, except where the network mines empty blocks, or one of the last
//!   [`Parameters::depth`] + [`TIE_BLOCKS`] blocks had some. So what is decided gets its confirmations, and then the chain
//!   rests; miners go on while another branch has as much work, as nodes would stay apart otherwise.
//!
//! **A chain that rests** must not become easy meanwhile, as the plain rule would have it: where no empty blocks are mined,
//! the time between two blocks counts as no more than [`MAX_SOLVE_INTERVALS`] intervals.
//!
//! **Branches.** [`Tree`] holds the headers of the last [`MAX_REORGANISATION`] heights with all their branches, and says
//! which branch to follow: the one with most work of which every block is at hand, and of equals the first seen.
//! [`reorganise`] takes the chain there: all of it, or nothing if one of the blocks is invalid.
//!
//! | file | holds |
//! |---|---|
//! | `uint.rs`, `target.rs` | numbers of 256 bits; targets and work |
//! | `asert.rs` | the retarget rule |
//! | `parameters.rs` | what the genesis file says |
//! | `seal.rs`, `search.rs` | what a header carries, and how it is found |
//! | `position.rs` | where a branch stands, and the rules of the next header |
//! | `tree.rs`, `reorganise.rs` | branches, and how the chain goes from one to another |

mod asert;
mod parameters;
mod position;
mod reorganise;
mod seal;
pub mod search;
mod target;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tree;
mod uint;

pub use parameters::{MAX_SOLVE_INTERVALS, Parameters, TIE_BLOCKS};
pub(crate) use position::Progress;
pub use position::{Position, WorkError};
pub use reorganise::{NotReorganised, Reorganised, reorganise};
pub use seal::{Nonce, Seal, SealSearch};
pub use target::{CompactTarget, Target, Work};
pub use tree::{Branch, HeaderError, Headers, MAX_BODY_BYTES, MAX_HEADERS, Tree};

/// How many heights the chain goes back at most to follow a heavier branch. A network that was cut in two for longer than
/// this many blocks needs people to say which half goes on.
pub const MAX_REORGANISATION: usize = 1024;

/// Heights whose undoing is kept: while a branch is tried, those behind it are needed too.
pub const UNDO_HEIGHTS: usize = 2 * MAX_REORGANISATION;
