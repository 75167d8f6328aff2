//! From one branch to another: all of it, or nothing.

use crate::{
    block::{Block, Decided},
    chain::{Applied, BlockError, CannotUndo, Chain, Knowledge},
    hash::BlockHash,
    proof::Proof,
    signed::{Height, Value},
    state::Changes,
    transaction::SharedTransaction,
};
use std::sync::Arc;

/// What a reorganisation did.
#[derive(Debug)]
pub struct Reorganised {
    /// The blocks that were undone, ascending.
    pub undone: Vec<Arc<Block>>,
    /// The entries of the state that undoing them changed; nothing where the branch only grew.
    pub changes: Changes,
    /// The blocks that were adopted, ascending, with what each did.
    pub adopted: Vec<(Arc<Block>, Applied)>,
}

/// Why the chain stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReorganised {
    /// The branches part too far back.
    #[error(transparent)]
    TooDeep(#[from] CannotUndo),
    /// A block of the branch breaks a rule.
    #[error("block {hash} at height {height}: {error}")]
    Invalid {
        /// The block.
        hash: BlockHash,
        /// Its height.
        height: Height,
        /// The rule.
        error: Box<BlockError>,
    },
}

/// Everything was verified before: blocks that the chain goes back to.
struct Verified;

impl Knowledge for Verified {
    fn transaction(&self, _: &SharedTransaction) -> bool {
        true
    }
    fn proof(&self, _: Height, _: &Value, _: &Proof) -> bool {
        true
    }
}

/// Takes `chain` back to height `fork` and on along `blocks`, which follow it; or leaves it where it is if one of them is
/// invalid.
///
/// # Errors
/// Why the chain is where it was.
pub fn reorganise(
    chain: &mut Chain,
    fork: Height,
    blocks: &[Arc<Block>],
    known: &impl Knowledge,
) -> Result<Reorganised, NotReorganised> {
    let above = chain.undoable().filter(|(height, _)| *height > fork);
    let undone: Vec<Arc<Block>> = above.filter_map(|(_, undo)| undo.decided.block().cloned()).collect();
    let changes = if fork < chain.tip().height { chain.rollback(fork + 1)? } else { Changes::new() };
    let mut adopted = Vec::with_capacity(blocks.len());
    for block in blocks {
        match chain.apply(&Decided::Block(block.clone()), None, known, false) {
            Ok(applied) => adopted.push((block.clone(), applied)),
            Err(error) => {
                go_back(chain, fork, &undone);
                let (hash, height) = (block.hash(), block.header.height);
                return Err(NotReorganised::Invalid { hash, height, error: Box::new(error) });
            }
        }
    }
    Ok(Reorganised { undone, changes, adopted })
}

fn go_back(chain: &mut Chain, fork: Height, blocks: &[Arc<Block>]) {
    if chain.tip().height > fork {
        chain.rollback(fork + 1).expect("what was applied a moment ago can be undone");
    }
    for block in blocks {
        chain
            .apply(&Decided::Block(block.clone()), None, &Verified, false)
            .expect("what was the chain a moment ago is valid in the same state");
    }
}
