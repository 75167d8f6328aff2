//! Branches that a test mines by itself, with the ledger's library: valid ones, and such as keep the rules of headers only.

use crate::network::Network;
use conclave_ledger::{
    block::{Block, Decided, Header},
    chain::{Chain, Knowledge},
    genesis::Genesis,
    hash::Hash,
    keys::PublicKey,
    proof::Proof,
    proof_of_work::{Nonce, Parameters, Position, Seal, SealSearch, Work},
    signed::{Height, Value},
    transaction::{SharedTransaction, Transaction},
};
use conclave_protocol::mining::{Request, Response, respond};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A miner for each branch, without whom two that part would be mined alike, and be one.
fn next_miner() -> PublicKey {
    static MINERS: AtomicU64 = AtomicU64::new(0);
    PublicKey(Hash::of("miner", &[&MINERS.fetch_add(1, Ordering::Relaxed).to_be_bytes()]).0)
}

/// Who makes a branch does not check it.
struct Unchecked;

impl Knowledge for Unchecked {
    fn transaction(&self, _: &SharedTransaction) -> bool {
        true
    }

    fn proof(&self, _: Height, _: &Value, _: &Proof) -> bool {
        true
    }
}

/// Gives a block the nonce that its target asks for.
pub(crate) fn seal(block: &mut Block) {
    let nonce = SealSearch::new(&block.header).unwrap().find(0, u64::MAX).unwrap();
    block.header.work.as_mut().unwrap().nonce = Nonce(nonce.to_be_bytes());
}

/// Gives a block a nonce with which its hash does not meet the target.
pub(crate) fn unseal(block: &mut Block) {
    let target = block.header.work.unwrap().target.target().unwrap();
    while target.is_met_by(&block.header.hash()) {
        let nonce = &mut block.header.work.as_mut().unwrap().nonce;
        *nonce = Nonce((u64::from_be_bytes(nonce.0) + 1).to_be_bytes());
    }
}

/// The block at a height, as a node gives it.
pub(crate) fn block_at(network: &Network, node: usize, height: u64) -> Block {
    let info = network.block_on(network.client(node).block(height)).unwrap();
    let Decided::Block(block) = info.record else { panic!("a skip among miners") };
    block.as_ref().clone()
}

/// Whether a node's chain has this block.
pub(crate) fn has_block(network: &Network, node: usize, block: &Block) -> bool {
    let found = network.block_on(network.client(node).block(block.header.height));
    found.is_ok_and(|info| info.record.hash() == block.hash())
}

/// All blocks from the first one to the end of a branch.
pub(crate) struct Branch {
    /// The state at the end, or where the first block was forged.
    chain: Chain,
    position: Position,
    miner: PublicKey,
    pub(crate) blocks: Vec<Arc<Block>>,
}

impl Branch {
    /// The branch without a block.
    pub(crate) fn start(network: &Network) -> Self {
        Self::at_start(conclave::genesis_file::read(&network.genesis()).unwrap().into())
    }

    fn at_start(genesis: Arc<Genesis>) -> Self {
        let chain = Chain::new(genesis);
        Self { position: chain.position().unwrap(), chain, miner: next_miner(), blocks: Vec::new() }
    }

    /// A node's chain up to a height.
    pub(crate) fn of(network: &Network, node: usize, height: u64) -> Self {
        let mut branch = Self::start(network);
        (1..=height).for_each(|height| branch.push(block_at(network, node, height)));
        branch
    }

    /// Another branch that parts from this one after a height.
    pub(crate) fn fork(&self, height: u64) -> Self {
        let mut fork = Self::at_start(self.chain.genesis().clone());
        self.blocks.iter().take(height as usize).for_each(|block| fork.push(block.as_ref().clone()));
        fork
    }

    pub(crate) fn height(&self) -> u64 {
        self.position.height
    }

    pub(crate) fn work(&self) -> Work {
        self.position.work()
    }

    pub(crate) fn tip(&self) -> &Block {
        self.blocks.last().unwrap()
    }

    /// The first block after a height.
    pub(crate) fn after(&self, height: u64) -> &Block {
        &self.blocks[height as usize]
    }

    /// How far ahead of a node's clock a timestamp may be, in milliseconds.
    pub(crate) fn future_ms(&self) -> u64 {
        self.parameters().future_ms()
    }

    fn push(&mut self, block: Block) {
        let block = Arc::new(block);
        self.chain.apply(&Decided::Block(block.clone()), None, &Unchecked, false).unwrap();
        self.position = self.chain.position().unwrap();
        self.blocks.push(block);
    }

    /// Mines a block, a millisecond after the last one.
    pub(crate) fn mine(&mut self, transactions: &[Transaction]) {
        self.mine_at(0, transactions);
    }

    /// Mines a block at this time, in milliseconds since 1970, or a millisecond after the last one if that is later.
    pub(crate) fn mine_at(&mut self, timestamp: u64, transactions: &[Transaction]) {
        let transactions: Vec<SharedTransaction> = transactions.iter().cloned().map(Into::into).collect();
        let mut block = self.chain.template(self.miner, timestamp, true, &transactions).unwrap();
        assert_eq!(block.transactions, transactions, "all of them are valid here");
        seal(&mut block);
        self.push(block);
    }

    fn parameters(&self) -> &Parameters {
        self.chain.genesis().proof_of_work.as_ref().unwrap()
    }

    /// Mines so many blocks, with a transaction where none may be without.
    pub(crate) fn mine_many(&mut self, count: u64) {
        for _ in 0..count {
            let needs_record = !self.position.may_be_empty(self.parameters());
            let (text, expires) = (format!("after {}", self.position.hash), self.height() + 500);
            let record = needs_record.then(|| super::record_in(self.chain.genesis(), &text, expires));
            self.mine(record.as_slice());
        }
    }

    /// Mines until this branch has more work.
    pub(crate) fn outweigh(&mut self, work: Work) {
        while self.work() <= work {
            self.mine_many(1);
        }
    }

    /// Adds a block that keeps the rules of headers; `change` says what of the others it breaks. What a header binds
    /// follows what is changed.
    pub(crate) fn forge(&mut self, change: impl FnOnce(&mut Block)) {
        let mut block = self.guess();
        change(&mut block);
        block.header.transactions = Block::transactions_root(&block.transactions);
        seal(&mut block);
        self.position = self.position.after(&block.header, block.hash(), self.parameters());
        self.blocks.push(Arc::new(block));
    }

    /// The same until this branch has more work.
    pub(crate) fn forge_until_heavier(&mut self, work: Work) {
        while self.work() <= work {
            self.forge(|_| ());
        }
    }

    /// The next block without a transaction. After one that was forged nobody knows the state.
    fn guess(&self) -> Block {
        let target = self.position.next_target(self.parameters());
        let header = Header {
            network: self.chain.network(),
            height: self.position.height + 1,
            parent: self.position.hash,
            leader: self.miner,
            timestamp: self.position.timestamp + 1,
            state: self.chain.state_hash(),
            proofs: Block::proofs_hash(&[]),
            transactions: Block::transactions_root(&[]),
            work: Some(Seal { target, nonce: Nonce([0; 8]) }),
        };
        Block { header, proofs: Vec::new(), transactions: Vec::new() }
    }

    /// What a node on this branch answers.
    pub(crate) fn respond(&self, request: &Request) -> Response {
        let index = |height: u64| usize::try_from(height.checked_sub(1)?).ok();
        respond(request, |height| self.blocks.get(index(height)?).cloned())
    }
}
