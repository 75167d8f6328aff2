//! What proofs of work cost: hashes in the search of a nonce, a header's check, a block's validation, and a reorganisation
//! of 100 blocks with 1,000 transactions each.
//!
//! `cargo bench -p conclave-ledger --bench proof_of_work`

#![allow(missing_docs, clippy::unwrap_used)]

use conclave_ledger::{
    applications::{Payload, records::Record},
    block::{Block, Decided},
    bytes::Bytes,
    chain::{Chain, Knowledge},
    genesis::{Engine, FORMAT, Genesis, Limits},
    keys::{PublicKey, SecretKey},
    proof::Proof,
    proof_of_work::{Nonce, Parameters, SealSearch, Target, Tree, reorganise},
    signed::{Height, Value},
    transaction::{Request, SharedTransaction},
    validators::FaultBound,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, sync::Arc};

const TRANSACTIONS: u32 = 1_000;
const BLOCKS: u32 = 100;

/// Everything was verified before, as in a node whose pool held the transactions.
struct AllKnown;

impl Knowledge for AllKnown {
    fn transaction(&self, _: &SharedTransaction) -> bool {
        true
    }
    fn proof(&self, _: Height, _: &Value, _: &Proof) -> bool {
        true
    }
}

fn key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn chain() -> Chain {
    Chain::new(Arc::new(Genesis {
        format: FORMAT,
        name: "bench".into(),
        engine: Engine::ProofOfWork,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 500,
        created_ms: 1,
        stamp_bits: 16,
        limits: Limits::default(),
        proof_of_work: Some(Parameters { leading_zero_bits: 1, ..Parameters::default() }),
        validators: Vec::new(),
        senders: vec![key().public()],
        records: Vec::new(),
    }))
}

fn records(chain: &Chain, block: u32) -> Vec<SharedTransaction> {
    let record = |number: u32| {
        let data = Bytes([block.to_be_bytes(), number.to_be_bytes()].concat());
        let payload = Payload::Record(Record { kind: "bench".into(), data });
        let (network, sender) = (chain.network(), key().public());
        Request { network, sender, expires: 1_000, payload }.sign(&key()).into()
    };
    (0..TRANSACTIONS).map(record).collect()
}

fn mine(chain: &Chain, miner: u8, now_ms: u64, transactions: &[SharedTransaction]) -> Arc<Block> {
    let mut block = chain.template(PublicKey([miner; 32]), now_ms, false, transactions).unwrap();
    let nonce = SealSearch::new(&block.header).unwrap().find(0, u64::MAX).unwrap();
    block.header.work.as_mut().unwrap().nonce = Nonce(nonce.to_be_bytes());
    Arc::new(block)
}

/// A chain of so many full blocks by a miner, and the blocks.
fn branch(miner: u8, blocks: u32) -> (Chain, Vec<Arc<Block>>) {
    let mut chain = chain();
    let mined = (0..blocks).map(|number| {
        let transactions = records(&chain, number);
        let block = mine(&chain, miner, u64::from(number) * 2_000 + 2, &transactions);
        chain.apply(&Decided::Block(block.clone()), None, &AllKnown, false).unwrap();
        block
    });
    let mined = mined.collect();
    (chain, mined)
}

fn search(criterion: &mut Criterion) {
    let chain = chain();
    let mut header = mine(&chain, 1, 2, &records(&chain, 0)).header.clone();
    header.work.as_mut().unwrap().target = Target::of_leading_zero_bits(200).compact();
    let mut group = criterion.benchmark_group("search of a nonce");
    let attempts = 1 << 16;
    group.throughput(Throughput::Elements(attempts));
    group.bench_function("hashes on one core", |bencher| {
        let mut search = SealSearch::new(&header).unwrap();
        let mut next = 0u64;
        bencher.iter(|| {
            next = next.wrapping_add(attempts);
            search.find(black_box(next), attempts)
        });
    });
    group.finish();
}

fn blocks(criterion: &mut Criterion) {
    let chain = chain();
    let block = mine(&chain, 1, 2, &records(&chain, 0));
    let (mut group, start) = (criterion.benchmark_group("by proof of work"), chain.position().unwrap());
    let parameters = chain.genesis().proof_of_work.clone().unwrap();
    group.throughput(Throughput::Elements(1));
    group.bench_function("a header checked", |bencher| {
        bencher.iter(|| start.check(black_box(&block.header), chain.network(), &parameters).unwrap());
    });
    group.bench_function("a header into the tree", |bencher| {
        bencher.iter_batched(
            || Tree::of(&chain).unwrap(),
            |mut tree| {
                tree.add_header(black_box(&block.header)).unwrap();
                tree
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("a block of 1,000 known records validated", |bencher| {
        bencher.iter(|| chain.validate(black_box(&block), &AllKnown).unwrap());
    });
    group.finish();
}

fn reorganisation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reorganisation");
    group.sample_size(10);
    let ((mut chain, left), (_, right)) = (branch(1, BLOCKS), branch(2, BLOCKS));
    group.throughput(Throughput::Elements(u64::from(BLOCKS)));
    let mut on_left = true;
    group.bench_function("100 blocks of 1,000 records undone, and 100 adopted", |bencher| {
        bencher.iter(|| {
            let to = if on_left { &right } else { &left };
            on_left = !on_left;
            reorganise(&mut chain, 0, to, &AllKnown).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, search, blocks, reorganisation);
criterion_main!(benches);
