//! What the ledger costs by itself: signatures one by one and in batches, and a block of 1,000 records, built, validated
//! with everything to verify and with everything known, and applied with the state hash.
//!
//! `cargo bench -p conclave-ledger --bench ledger`

#![allow(missing_docs, clippy::unwrap_used)]

use conclave_ledger::{
    applications::{Payload, records::Record},
    block::{Block, Decided},
    bytes::Bytes,
    chain::{Chain, Knowledge, NothingKnown},
    genesis::{Engine, FORMAT, Genesis, Limits},
    keys::{Batch, SecretKey},
    proof::Proof,
    signed::{Height, Value},
    transaction::{Request, SharedTransaction},
    validators::{FaultBound, Validator},
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, sync::Arc};

const TRANSACTIONS: u32 = 1_000;

/// Everything was verified before, as in a node whose pool holds the block's transactions.
struct AllKnown;

impl Knowledge for AllKnown {
    fn transaction(&self, _: &SharedTransaction) -> bool {
        true
    }
    fn proof(&self, _: Height, _: &Value, _: &Proof) -> bool {
        true
    }
}

fn key(number: u32) -> SecretKey {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_seed(seed)
}

fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis {
        format: FORMAT,
        name: "bench".into(),
        engine: Engine::DolevStrong,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 500,
        created_ms: 1,
        stamp_bits: 16,
        proof_of_work: None,
        limits: Limits::default(),
        validators: vec![Validator { name: "one".into(), key: key(0).public() }],
        senders: (1..=TRANSACTIONS).map(|number| key(number).public()).collect(),
        records: Vec::new(),
    })
}

fn records(chain: &Chain) -> Vec<SharedTransaction> {
    (1..=TRANSACTIONS)
        .map(|number| {
            let data = Bytes(number.to_be_bytes().to_vec());
            let payload = Payload::Record(Record { kind: "bench".into(), data });
            let (network, sender) = (chain.network(), key(number).public());
            Request { network, sender, expires: 100, payload }.sign(&key(number)).into()
        })
        .collect()
}

fn full_block(chain: &Chain, transactions: &[SharedTransaction]) -> Block {
    chain.propose(chain.leader(), 2, Vec::new(), transactions).unwrap().0
}

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signatures");
    let message = b"a message of the length of a transaction's signed bytes, more or less";
    let signed =
        |count: u32| (0..count).map(|number| (key(number).public(), key(number).sign(message))).collect();
    for count in [1, 16, 128, 1_000] {
        let signatures: Vec<_> = signed(count);
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_with_input(BenchmarkId::new("single", count), &signatures, |bencher, signatures| {
            bencher
                .iter(|| signatures.iter().all(|(key, signature)| key.verify(black_box(message), signature)));
        });
        group.bench_with_input(BenchmarkId::new("batch", count), &signatures, |bencher, signatures| {
            bencher.iter(|| {
                let mut batch = Batch::default();
                signatures.iter().for_each(|(key, signature)| batch.add(*key, message.to_vec(), *signature));
                batch.verify()
            });
        });
    }
}

fn blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("block of 1,000 records");
    let chain = Chain::new(genesis());
    let transactions = records(&chain);
    let block = full_block(&chain, &transactions);
    group.throughput(Throughput::Elements(u64::from(TRANSACTIONS)));
    group.bench_function("build", |bencher| bencher.iter(|| full_block(&chain, black_box(&transactions))));
    group.bench_function("validate, nothing known", |bencher| {
        bencher.iter(|| chain.validate(black_box(&block), &NothingKnown).unwrap());
    });
    group.bench_function("validate, all known", |bencher| {
        bencher.iter(|| chain.validate(black_box(&block), &AllKnown).unwrap());
    });
    let execution = chain.validate(&block, &AllKnown).unwrap();
    let decided = Decided::Block(Arc::new(block));
    group.bench_function("apply with the state hash", |bencher| {
        bencher.iter_batched(
            || (Chain::new(genesis()), execution.clone()),
            |(mut chain, execution)| {
                chain.apply(&decided, Some(execution), &AllKnown, true).unwrap();
                chain
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, signatures, blocks);
criterion_main!(benches);
