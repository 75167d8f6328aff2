//! The tree of the last heights: every branch that is known, and which of them to follow.
//!
//! ```text
//!                    ┌── 6 ── 7          a side branch
//! root ── 4 ── 5 ── 6 ── 7 ── 8 (tip)    the chain
//!                              └── 9     a header whose block is not here yet
//! ```
//! The root is a block of the chain, [`MAX_REORGANISATION`] heights below its tip or where the chain began to be kept.
//! Nothing forks off below it. Headers come first: one is taken if its parent is here and it keeps every rule that a header
//! can keep, its proof of work before all. Blocks follow; whether their transactions are valid only the chain can tell,
//! which tries the branch that [`Tree::best`] gives, and says what became of it.
//!
//! A branch whose next block nobody gives is [withheld](Tree::withhold): it counts for nothing until that block comes, so
//! that who shows headers and hides their blocks holds nobody up. It is asked for still, after all others.
//!
//! Bounds: [`MAX_HEADERS`] headers, [`MAX_BODY_BYTES`] of blocks beside the chain's. What is withheld is forgotten first,
//! then what has the least work; the chain is never.

use super::{MAX_REORGANISATION, Parameters, Position, Work, WorkError};
use crate::{
    block::{Block, Header},
    chain::Chain,
    hash::{BlockHash, NetworkId},
    signed::Height,
    transaction::SharedTransaction,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Most headers in the tree: the chain's window, and some ten thousand ahead of it while a node catches up.
pub const MAX_HEADERS: usize = 16_384;

/// Most bytes of transactions of blocks that are not on the chain.
pub const MAX_BODY_BYTES: usize = 128 << 20;

/// Most hashes of invalid blocks that are remembered.
const MAX_INVALID: usize = 1024;

/// Blocks of a branch that are tried at once.
const MAX_BRANCH: usize = MAX_REORGANISATION;

/// Blocks in the dense part of a locator; behind it the steps double.
const DENSE_LOCATOR: usize = 10;

/// Branches, the best first: those that are not withheld, then most work, then first seen.
type Order = (bool, Reverse<Work>, u64);

/// Why a header is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Its parent is not known.
    #[error("the parent {0} is not known")]
    Orphan(BlockHash),
    /// It forks off below the root.
    #[error("height {0} is further back than this node goes")]
    TooOld(Height),
    /// It is a block that was found invalid, or follows one.
    #[error("it is on a branch that was found invalid")]
    OnInvalid,
    /// It breaks a rule.
    #[error(transparent)]
    Invalid(#[from] WorkError),
}

/// Headers of the chain, ascending, as they answer a locator.
pub type Headers = Vec<Arc<Header>>;

/// A branch to try: the chain goes back to `fork` and on along `blocks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Height of the last common block.
    pub fork: Height,
    /// The blocks after it, ascending; at least one.
    pub blocks: Vec<Arc<Block>>,
}

struct Node {
    /// None for the root that is the start of the network.
    header: Option<Arc<Header>>,
    parent: BlockHash,
    position: Position,
    block: Option<Arc<Block>>,
    /// Whether its block and those of all its ancestors are here.
    is_whole: bool,
    /// Whether its block was on the chain once, and so is valid.
    was_adopted: bool,
    /// Whether its block or one below it is withheld, or its branch passed over as too long.
    is_withheld: bool,
    arrival: u64,
    children: BTreeSet<BlockHash>,
}

impl Node {
    fn order(&self) -> Order {
        (self.is_withheld, Reverse(self.position.work()), self.arrival)
    }
}

/// The tree.
pub struct Tree {
    network: NetworkId,
    parameters: Parameters,
    nodes: BTreeMap<BlockHash, Node>,
    /// The chain from the root to the tip.
    active: VecDeque<BlockHash>,
    /// All headers beside the chain, the best first.
    side: BTreeMap<Order, BlockHash>,
    /// Bytes of the blocks beside the chain.
    side_bytes: usize,
    /// Blocks that nobody gives.
    withheld: BTreeSet<BlockHash>,
    invalid: BTreeSet<BlockHash>,
    invalid_order: VecDeque<BlockHash>,
    arrivals: u64,
}

fn body_bytes(block: &Block) -> usize {
    block.transactions.iter().map(SharedTransaction::size).sum()
}

impl Tree {
    /// The tree of a chain by proof of work that knows no other branch yet.
    pub fn of(chain: &Chain) -> Option<Self> {
        let parameters = chain.genesis().proof_of_work.clone()?;
        let mut undoable: Vec<_> = chain.undoable().collect();
        undoable.drain(..undoable.len().saturating_sub(MAX_REORGANISATION));
        let positions = undoable.iter().map(|(_, undo)| undo.before(chain.genesis()));
        let mut positions: Vec<Position> = positions.collect::<Option<_>>()?;
        positions.push(chain.position()?);
        let root = positions[0];
        let mut tree = Self {
            network: chain.network(),
            parameters,
            nodes: BTreeMap::new(),
            active: VecDeque::new(),
            side: BTreeMap::new(),
            side_bytes: 0,
            withheld: BTreeSet::new(),
            invalid: BTreeSet::new(),
            invalid_order: VecDeque::new(),
            arrivals: 0,
        };
        tree.insert_active(root, None);
        for ((_, undo), position) in undoable.iter().zip(&positions[1..]) {
            tree.insert_active(*position, undo.decided.block().cloned());
        }
        Some(tree)
    }

    fn insert_active(&mut self, position: Position, block: Option<Arc<Block>>) {
        let parent = self.active.back().copied().unwrap_or(position.hash);
        if let Some(parent) = self.nodes.get_mut(&parent) {
            parent.children.insert(position.hash);
        }
        let header = block.as_ref().map(|block| Arc::new(block.header.clone()));
        self.arrivals += 1;
        let (arrival, children) = (self.arrivals, BTreeSet::new());
        self.nodes.insert(
            position.hash,
            Node {
                header,
                parent,
                position,
                block,
                is_whole: true,
                was_adopted: true,
                is_withheld: false,
                arrival,
                children,
            },
        );
        self.active.push_back(position.hash);
    }

    fn root(&self) -> &Position {
        &self.nodes[&self.active[0]].position
    }

    /// Where the chain stands.
    pub fn tip(&self) -> &Position {
        &self.nodes[&self.active[self.active.len() - 1]].position
    }

    /// Where the branch with the most work stands, as far as headers tell; one that is withheld does not count.
    pub fn best_header(&self) -> &Position {
        let side = self.side.first_key_value().map(|(_, hash)| &self.nodes[hash]);
        let better = side.filter(|side| !side.is_withheld && side.position.work() > self.tip().work());
        better.map_or_else(|| self.tip(), |side| &side.position)
    }

    /// Whether another branch has as much work as the chain.
    pub fn has_rival(&self) -> bool {
        let tip = Reverse(self.tip().work());
        let rival = self.side.range((false, tip, 0)..).next();
        rival.is_some_and(|((is_withheld, work, _), _)| !is_withheld && *work == tip)
    }

    /// Where a branch stands after the block with this hash.
    pub fn position(&self, hash: &BlockHash) -> Option<&Position> {
        self.nodes.get(hash).map(|node| &node.position)
    }

    /// Headers taken since the start, whether they are here still or not.
    pub fn taken(&self) -> u64 {
        self.arrivals
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no header: never so, as there is always the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes of the blocks that are not on the chain.
    pub fn side_bytes(&self) -> usize {
        self.side_bytes
    }

    /// Whether the block is on the chain.
    pub fn is_active(&self, hash: &BlockHash) -> bool {
        self.nodes.get(hash).is_some_and(|node| self.active_at(node.position.height) == Some(hash))
    }

    /// The hash of the chain's block at a height of the tree.
    pub fn active_at(&self, height: Height) -> Option<&BlockHash> {
        let index = height.checked_sub(self.root().height)?;
        self.active.get(usize::try_from(index).ok()?)
    }

    /// The block with this hash, if it is here.
    pub fn block(&self, hash: &BlockHash) -> Option<&Arc<Block>> {
        self.nodes.get(hash)?.block.as_ref()
    }

    /// The block with this hash, if it is here and was on the chain once: what others can be given without being blamed
    /// for it.
    pub fn valid_block(&self, hash: &BlockHash) -> Option<&Arc<Block>> {
        self.nodes.get(hash).filter(|node| node.was_adopted)?.block.as_ref()
    }

    /// Height of the root: nothing below it is known.
    pub fn root_height(&self) -> Height {
        self.root().height
    }

    /// Whether a header is known whose block is wanted.
    pub fn lacks_block(&self, hash: &BlockHash) -> bool {
        self.nodes.get(hash).is_some_and(|node| node.block.is_none() && node.header.is_some())
    }

    /// All headers with their parents, whether they are on the chain and whether their blocks are here, by height.
    pub fn iter(&self) -> impl Iterator<Item = (&BlockHash, &Header, bool, bool)> {
        let nodes = self.nodes.iter();
        nodes.filter_map(|(hash, node)| {
            let header = node.header.as_deref()?;
            Some((hash, header, self.is_active(hash), node.block.is_some()))
        })
    }

    /// Takes a header; gives its hash, also if it was known.
    ///
    /// # Errors
    /// Why it is not taken. Only [`HeaderError::Invalid`] and [`HeaderError::OnInvalid`] are somebody's fault.
    pub fn add_header(&mut self, header: &Header) -> Result<BlockHash, HeaderError> {
        let hash = header.hash();
        if self.nodes.contains_key(&hash) {
            return Ok(hash);
        }
        if self.invalid.contains(&hash) || self.invalid.contains(&header.parent) {
            return Err(HeaderError::OnInvalid);
        }
        let Some(parent) = self.nodes.get_mut(&header.parent) else {
            return Err(match header.height <= self.root().height {
                true => HeaderError::TooOld(header.height),
                false => HeaderError::Orphan(header.parent),
            });
        };
        parent.position.check(header, self.network, &self.parameters)?;
        let position = parent.position.after(header, hash, &self.parameters);
        let is_withheld = parent.is_withheld;
        parent.children.insert(hash);
        self.arrivals += 1;
        let node = Node {
            header: Some(Arc::new(header.clone())),
            parent: header.parent,
            position,
            block: None,
            is_whole: false,
            was_adopted: false,
            is_withheld,
            arrival: self.arrivals,
            children: BTreeSet::new(),
        };
        self.side.insert(node.order(), hash);
        self.nodes.insert(hash, node);
        self.forget_headers();
        Ok(hash)
    }

    /// Takes a block whose body is the one that its header binds; gives its hash, also if it was known.
    ///
    /// # Errors
    /// As [`Tree::add_header`].
    pub fn add_block(&mut self, block: Arc<Block>) -> Result<BlockHash, HeaderError> {
        let hash = self.add_header(&block.header)?;
        let Some(node) = self.nodes.get_mut(&hash).filter(|node| node.block.is_none()) else {
            return Ok(hash);
        };
        if node.header.is_none() {
            return Ok(hash); // The root, whose block nobody needs any more.
        }
        self.side_bytes += body_bytes(&block);
        node.block = Some(block);
        if self.withheld.contains(&hash) {
            self.mark_withheld(hash, false);
        }
        self.make_whole(hash);
        self.forget_bodies();
        Ok(hash)
    }

    /// Marks a block and what follows it as whole, as far as that is so.
    fn make_whole(&mut self, from: BlockHash) {
        let mut open = vec![from];
        while let Some(hash) = open.pop() {
            let parent_is_whole = self
                .nodes
                .get(&hash)
                .and_then(|node| self.nodes.get(&node.parent))
                .is_some_and(|node| node.is_whole);
            let Some(node) = self.nodes.get_mut(&hash) else { continue };
            if parent_is_whole && node.block.is_some() && !node.is_whole {
                node.is_whole = true;
                open.extend(&node.children);
            }
        }
    }

    /// Whether this is the lowest block that its branch lacks.
    pub fn is_next(&self, hash: &BlockHash) -> bool {
        let parent = self.nodes.get(hash).and_then(|node| self.nodes.get(&node.parent));
        self.lacks_block(hash) && parent.is_some_and(|parent| parent.is_whole)
    }

    /// Whether a block, or one below it, is withheld.
    pub fn is_withheld(&self, hash: &BlockHash) -> bool {
        self.nodes.get(hash).is_some_and(|node| node.is_withheld)
    }

    /// Nobody gives this block. Until it comes, no branch that it is on counts as [the best header](Tree::best_header),
    /// and its blocks are wanted after all others.
    pub fn withhold(&mut self, hash: BlockHash) {
        if self.lacks_block(&hash) {
            self.mark_withheld(hash, true);
            self.withheld.insert(hash);
        }
    }

    fn mark_withheld(&mut self, from: BlockHash, is_withheld: bool) {
        let mut open = vec![from];
        while let Some(hash) = open.pop() {
            let Some(node) = self.nodes.get_mut(&hash) else { continue };
            self.side.remove(&node.order());
            node.is_withheld = is_withheld;
            self.side.insert(node.order(), hash);
            open.extend(&node.children);
            self.withheld.remove(&hash);
        }
    }

    /// The branch to follow instead of the chain's last blocks, or after them: it has more work, and all its blocks are here.
    /// None where the chain is the best. Of a long branch the first blocks come that have more work.
    pub fn best(&self) -> Option<Branch> {
        let branches = self.better().filter_map(|end| self.branch_to(end));
        let mut within_reach = branches.filter(|(_, blocks)| blocks.len() <= MAX_BRANCH);
        let (fork, nodes) = within_reach.next()?;
        Some(Branch { fork, blocks: nodes.into_iter().filter_map(|node| node.block.clone()).collect() })
    }

    /// The ends of whole branches with more work than the chain, the best first.
    fn better(&self) -> impl Iterator<Item = &Node> {
        let tip = Reverse(self.tip().work());
        let ends = self.side.range(..(false, tip, 0)).map(|(_, hash)| &self.nodes[hash]);
        ends.filter(|end| end.is_whole)
    }

    /// Where a branch forks off, and its blocks from there to the first that has more work than the chain.
    fn branch_to<'t>(&'t self, end: &'t Node) -> Option<(Height, VecDeque<&'t Node>)> {
        let (mut blocks, mut at) = (VecDeque::new(), end);
        while !self.is_active(&at.position.hash) {
            blocks.push_front(at);
            at = self.nodes.get(&at.parent)?;
        }
        let tip = self.tip().work();
        let enough = blocks.iter().position(|node| node.position.work() > tip)? + 1;
        blocks.truncate(enough);
        Some((at.position.height, blocks))
    }

    /// Passes over a branch that has more work than the chain, but takes more blocks for it than can be tried: gives its
    /// first block, if there is such a branch. It counts no more.
    pub fn pass_over_too_long(&mut self) -> Option<BlockHash> {
        let first = self.too_long()?;
        self.mark_withheld(first, true);
        Some(first)
    }

    fn too_long(&self) -> Option<BlockHash> {
        let mut branches = self.better().filter_map(|end| self.branch_to(end));
        let (_, blocks) = branches.find(|(_, blocks)| blocks.len() > MAX_BRANCH)?;
        blocks.front().map(|first| first.position.hash)
    }

    /// Blocks that are wanted, those of the best branch first and of each branch the lowest; at most `most`. Of branches
    /// that are withheld the lowest block is, after all others.
    pub fn missing(&self, most: usize) -> Vec<(Height, BlockHash)> {
        let tip = Reverse(self.tip().work());
        let (mut missing, mut looked_at) = (Vec::new(), BTreeSet::new());
        let given = self.side.range(..(false, tip, 0)).map(|(_, hash)| (hash, most));
        let withheld = self.side.range((false, Reverse(Work::NONE), u64::MAX)..(true, tip, 0));
        for (end, at_once) in given.chain(withheld.map(|(_, hash)| (hash, 1))) {
            if missing.len() >= most {
                break;
            }
            let lacking = self.lacking(*end, &mut looked_at);
            missing.extend(lacking.into_iter().take(at_once.min(most - missing.len())));
        }
        missing
    }

    /// The blocks that a branch lacks, ascending, without what was looked at before.
    fn lacking(&self, end: BlockHash, looked_at: &mut BTreeSet<BlockHash>) -> Vec<(Height, BlockHash)> {
        let (mut lacking, mut at) = (Vec::new(), end);
        while let Some(node) = self.nodes.get(&at).filter(|node| !node.is_whole)
            && looked_at.insert(at)
        {
            if node.block.is_none() {
                lacking.push((node.position.height, at));
            }
            at = node.parent;
        }
        lacking.reverse();
        lacking
    }

    /// The chain is at this block of the tree now. What has fallen out of the window is forgotten.
    pub fn adopted(&mut self, tip: BlockHash) {
        let (mut path, mut at) = (Vec::new(), tip);
        while !self.is_active(&at) {
            let Some(node) = self.nodes.get(&at) else { return };
            path.push(at);
            at = node.parent;
        }
        while self.active.back() != Some(&at) {
            let Some(undone) = self.active.pop_back() else { return };
            self.set_aside(undone);
        }
        for hash in path.into_iter().rev() {
            self.make_active(hash);
        }
        while self.active.len() > MAX_REORGANISATION + 1 {
            self.advance_root();
        }
        self.forget_bodies();
    }

    fn set_aside(&mut self, hash: BlockHash) {
        if let Some(node) = self.nodes.get(&hash) {
            self.side_bytes += node.block.as_deref().map_or(0, body_bytes);
            self.side.insert(node.order(), hash);
        }
    }

    fn make_active(&mut self, hash: BlockHash) {
        if let Some(node) = self.nodes.get_mut(&hash) {
            node.was_adopted = true;
            self.side_bytes -= node.block.as_deref().map_or(0, body_bytes);
            self.side.remove(&node.order());
            self.active.push_back(hash);
        }
    }

    /// The chain's second block becomes the root.
    fn advance_root(&mut self) {
        let (Some(old), Some(new)) = (self.active.pop_front(), self.active.front().copied()) else { return };
        let children = self.nodes.remove(&old).map(|root| root.children).unwrap_or_default();
        children.into_iter().filter(|child| *child != new).for_each(|child| drop(self.remove(child)));
    }

    /// A block was found invalid: it and what follows it are forgotten, and not taken again.
    pub fn invalidate(&mut self, hash: BlockHash) {
        for removed in self.remove(hash) {
            if self.invalid.insert(removed) {
                self.invalid_order.push_back(removed);
            }
        }
        while self.invalid_order.len() > MAX_INVALID {
            if let Some(oldest) = self.invalid_order.pop_front() {
                self.invalid.remove(&oldest);
            }
        }
    }

    /// Removes a header beside the chain and all that follow it.
    fn remove(&mut self, hash: BlockHash) -> Vec<BlockHash> {
        if self.is_active(&hash) {
            return Vec::new();
        }
        if let Some(parent) = self.nodes.get(&hash).map(|node| node.parent)
            && let Some(parent) = self.nodes.get_mut(&parent)
        {
            parent.children.remove(&hash);
        }
        let (mut removed, mut open) = (Vec::new(), vec![hash]);
        while let Some(hash) = open.pop() {
            if let Some(node) = self.nodes.remove(&hash) {
                self.side.remove(&node.order());
                self.withheld.remove(&hash);
                self.side_bytes -= node.block.as_deref().map_or(0, body_bytes);
                open.extend(node.children);
                removed.push(hash);
            }
        }
        removed
    }

    /// Forgets the ends of branches with the least work until the bound is kept.
    fn forget_headers(&mut self) {
        while self.nodes.len() > MAX_HEADERS {
            let ends = self.side.iter().rev().map(|(_, hash)| *hash);
            let Some(end) = ends.into_iter().find(|hash| self.nodes[hash].children.is_empty()) else {
                return;
            };
            self.remove(end);
        }
    }

    /// Forgets the blocks with the least work until the bound is kept; their headers stay.
    fn forget_bodies(&mut self) {
        while self.side_bytes > MAX_BODY_BYTES {
            let held = self.side.values().rev().find(|hash| self.nodes[*hash].block.is_some());
            let Some(hash) = held.copied() else { return };
            let mut open = vec![hash];
            if let Some(block) = self.nodes.get_mut(&hash).and_then(|node| node.block.take()) {
                self.side_bytes -= body_bytes(&block);
            }
            while let Some(hash) = open.pop() {
                if let Some(node) = self.nodes.get_mut(&hash).filter(|node| node.is_whole) {
                    node.is_whole = false;
                    open.extend(&node.children);
                }
            }
        }
    }

    /// Where this node stands, for another to find the last block that both have: heights and hashes back from the best
    /// header, the first ones one by one and then in doubling steps, down to the root.
    pub fn locator(&self) -> Vec<(Height, BlockHash)> {
        self.locator_of(&self.best_header().hash)
    }

    /// The same from another header back.
    pub fn locator_of(&self, end: &BlockHash) -> Vec<(Height, BlockHash)> {
        let Some(end) = self.position(end) else { return Vec::new() };
        let (mut locator, mut step) = (Vec::new(), 1);
        let (mut at, mut wanted) = (Some(end.hash), end.height);
        while let Some((hash, node)) = at.and_then(|hash| Some((hash, self.nodes.get(&hash)?))) {
            let height = node.position.height;
            let is_root = hash == self.active[0];
            if (height <= wanted || is_root) && height > 0 {
                locator.push((height, hash));
                if locator.len() >= DENSE_LOCATOR {
                    step *= 2;
                }
                wanted = height.saturating_sub(step);
            }
            // On the chain every height can be reached at once.
            at = match (is_root, self.is_active(&hash)) {
                (true, _) => None,
                (false, true) => self.active_at(wanted.max(self.root().height)).copied(),
                (false, false) => Some(node.parent),
            };
        }
        locator
    }

    /// Headers of the chain after the last block of the locator that is on it, at most `most`; `None` where that block is
    /// below the tree, or there is none and the tree does not begin at the start.
    pub fn headers_after(&self, locator: &[(Height, BlockHash)], most: usize) -> Option<Headers> {
        let common = locator.iter().find(|(height, hash)| self.active_at(*height) == Some(hash));
        let from = match common {
            Some((height, _)) => *height,
            None if self.root().height == 0 => 0,
            None => return None,
        };
        let from = usize::try_from(from - self.root().height).ok()?;
        let headers = self.active.iter().skip(from + 1).take(most);
        Some(headers.filter_map(|hash| self.nodes.get(hash)?.header.clone()).collect())
    }
}

#[cfg(test)]
#[path = "tree/tests.rs"]
mod tests;
