//! The oracle of miners against chains that are made by hand, each with one thing wrong.

use super::{MinersOracle, Violation};
use crate::{
    observation::{Observation, Observed},
    scenario::Scenario,
    watch::Watch,
    world::EASIEST_BITS,
};
use conclave_ledger::{
    applications::{Payload, records::Record},
    block::{Block, Decided, Header},
    bytes::Bytes,
    codec,
    hash::Hash,
    keys::{PublicKey, SecretKey},
    proof_of_work::{Nonce, Seal, SealSearch, Target},
    transaction::{Request, Transaction},
};
use conclave_protocol::time::Time;
use std::sync::Arc;

fn transaction(number: u8) -> Transaction {
    let key = SecretKey::from_seed([number; 32]);
    let payload = Payload::Record(Record { kind: "test".into(), data: Bytes(vec![number]) });
    Request { network: Hash([1; 32]), sender: key.public(), expires: 10, payload }.sign(&key)
}

/// A block with its work done, for a target of so many zero bits.
fn block(height: u64, parent: Hash, transactions: &[Transaction], bits: u8) -> Block {
    let transactions: Vec<_> = transactions.iter().cloned().map(Into::into).collect();
    let mut block = Block {
        header: Header {
            network: Hash([1; 32]),
            height,
            parent,
            leader: PublicKey([2; 32]),
            timestamp: 1_000 + height,
            state: Hash([3; 32]),
            proofs: Block::proofs_hash(&[]),
            transactions: Block::transactions_root(&transactions),
            work: Some(Seal { target: Target::of_leading_zero_bits(bits).compact(), nonce: Nonce([0; 8]) }),
        },
        proofs: Vec::new(),
        transactions,
    };
    work(&mut block);
    block
}

fn work(block: &mut Block) {
    let nonce = SealSearch::new(&block.header).unwrap().find(0, 1 << 20).unwrap();
    block.header.work.as_mut().unwrap().nonce = Nonce(nonce.to_be_bytes());
}

struct Told {
    oracle: MinersOracle,
    now: u64,
}

impl Told {
    /// Two honest hosts, of whom one is told of.
    fn new() -> Self {
        Self { oracle: MinersOracle::new(&Scenario::quiet(1, 2, 0)), now: 0 }
    }

    fn see(&mut self, what: Observation<'_>) {
        self.now += 1;
        self.oracle.observe(&Observed { at: Time(self.now), what });
    }

    fn adopt(&mut self, host: usize, block: &Block) {
        let record = codec::encode(&Decided::Block(Arc::new(block.clone())));
        let (height, record) = (block.header.height, record.as_slice());
        self.see(Observation::Decided { host, height, record, proof: None, was_opened: false });
    }
}

fn violations(blocks: &[Block]) -> Vec<Violation> {
    let mut told = Told::new();
    for host in 0..2 {
        blocks.iter().for_each(|block| told.adopt(host, block));
    }
    told.oracle.verdict()
}

#[test]
fn a_chain_of_work_is_good() {
    let first = block(1, Hash::ZERO, &[transaction(1), transaction(2)], EASIEST_BITS);
    let second = block(2, first.hash(), &[], EASIEST_BITS + 3);
    assert_eq!(violations(&[first, second]), []);
}

#[test]
fn each_thing_that_is_wrong_with_a_block_is_seen() {
    let first = block(1, Hash::ZERO, &[transaction(1)], EASIEST_BITS);
    let unworked = Violation::Unworked { host: 0, height: 2 };
    let unchained = Violation::Unchained { host: 0, height: 2 };
    let good = || block(2, first.hash(), &[], EASIEST_BITS);
    let idle = {
        let mut block = good();
        let target = block.header.work.unwrap().target.target().unwrap();
        let tries = (0u64..).map(|nonce| Nonce(nonce.to_be_bytes()));
        for nonce in tries {
            block.header.work.as_mut().unwrap().nonce = nonce;
            if !target.is_met_by(&block.header.hash()) {
                break;
            }
        }
        block
    };
    let early = {
        let mut block = good();
        block.header.timestamp = first.header.timestamp;
        work(&mut block);
        block
    };
    let mut unsigned = transaction(3);
    unsigned.signature.0[5] ^= 1;
    let cases = [
        (idle, unworked.clone()),
        (block(2, first.hash(), &[], EASIEST_BITS - 2), unworked),
        (block(2, Hash([9; 32]), &[], EASIEST_BITS), unchained.clone()),
        (early, unchained),
        (
            block(2, first.hash(), &[transaction(1)], EASIEST_BITS),
            Violation::Repeated { first: 1, second: 2 },
        ),
        (
            block(2, first.hash(), &[transaction(4), transaction(4)], EASIEST_BITS),
            Violation::Repeated { first: 2, second: 2 },
        ),
        (block(2, first.hash(), &[unsigned], EASIEST_BITS), Violation::Invented { height: 2 }),
    ];
    for (wrong, expected) in cases {
        let found = violations(&[first.clone(), wrong]);
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
}

#[test]
fn blocks_change_only_after_they_were_undone_or_while_a_log_is_told_again() {
    let (one, other) = (
        block(1, Hash::ZERO, &[transaction(1)], EASIEST_BITS),
        block(1, Hash::ZERO, &[transaction(1), transaction(2)], EASIEST_BITS),
    );
    let mut told = Told::new();
    told.adopt(0, &one);
    told.adopt(0, &other);
    assert!(told.oracle.verdict().contains(&Violation::Reverted { host: 0, height: 1 }));

    let mut told = Told::new();
    told.adopt(0, &one);
    told.see(Observation::RolledBack { host: 0, height: 1 });
    told.adopt(0, &other);
    told.see(Observation::Died { host: 0 });
    told.see(Observation::Started { host: 0, boot: 2 });
    told.now -= 1;
    told.adopt(0, &one);
    told.now -= 1;
    told.see(Observation::RolledBack { host: 0, height: 1 });
    told.adopt(0, &other);
    told.adopt(1, &other);
    assert_eq!(told.oracle.verdict(), []);
}

#[test]
fn in_the_end_all_are_on_one_chain_with_everything() {
    let first = block(1, Hash::ZERO, &[transaction(1)], EASIEST_BITS);
    let (second, rival) = (
        block(2, first.hash(), &[transaction(2)], EASIEST_BITS),
        block(2, first.hash(), &[transaction(3)], EASIEST_BITS),
    );
    let mut told = Told::new();
    [&first, &second].into_iter().for_each(|block| told.adopt(0, block));
    [&first, &rival].into_iter().for_each(|block| told.adopt(1, block));
    assert!(matches!(told.oracle.verdict().as_slice(), [Violation::Disagreement { height: 2, .. }]));

    let mut told = Told::new();
    told.see(Observation::Submitted { transaction: transaction(2).id().0 });
    told.adopt(0, &first);
    [&first, &second].into_iter().for_each(|block| told.adopt(1, block));
    assert_eq!(
        told.oracle.verdict(),
        [Violation::LeftBehind { host: 0, height: 1, highest: 2 }, Violation::NoProgress(1)]
    );
}
