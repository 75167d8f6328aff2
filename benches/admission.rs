//! What admission costs: checking work, attempts per second of one core, and whole searches of 16, 20 and 24 bits.
//!
//! `cargo bench -p conclave-protocol --bench admission`, and for comparison on the same machine
//! `openssl speed -evp sha256`: an attempt is one compression of 64 bytes.

#![allow(missing_docs, clippy::unwrap_used)]
#![allow(clippy::disallowed_types, clippy::disallowed_methods)] // The rules of the crate, not of its measurement.

use conclave_ledger::hash::Hash;
use conclave_protocol::{
    admission::{Purpose, Puzzle},
    peer::Peer,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Attempts in one measurement of their rate.
const ATTEMPTS: u64 = 1 << 16;

/// Searches of 24 bits, of which one takes seconds: their times are printed.
const LONG_SEARCHES: u64 = 8;

fn puzzle(bits: u8, nonce: u64) -> Puzzle {
    let peer = |number| Peer::from_bytes(&[number; 38]).unwrap();
    let (purpose, network) = (Purpose::Admission, Hash([7; 32]));
    Puzzle { purpose, network, verifier: peer(1), prover: peer(2), nonce, bits }
}

fn solve(puzzle: &Puzzle) -> u64 {
    puzzle.search().attempt(0, u64::MAX).unwrap()
}

fn check(criterion: &mut Criterion) {
    let puzzle = puzzle(16, 1);
    let solution = solve(&puzzle);
    criterion.bench_function("check", |bencher| {
        bencher.iter(|| black_box(&puzzle).is_solved_by(black_box(solution)));
    });
}

fn attempts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attempts");
    group.throughput(Throughput::Elements(ATTEMPTS));
    // A hash that begins with 64 zero bits does not come.
    let mut search = puzzle(64, 1).search();
    group.bench_function("one core", |bencher| {
        bencher.iter(|| search.attempt(black_box(0), ATTEMPTS));
    });
    group.finish();
}

/// Nanoseconds that this thread has spent on a processor; nothing where the system does not say.
fn processor_time() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The rate that does not depend on what else the machine does, as `openssl speed` counts too.
fn attempts_per_processor_second(_: &mut Criterion) {
    let (mut search, attempts) = (puzzle(64, 2).search(), 1 << 25);
    let Some(before) = processor_time() else { return };
    black_box(search.attempt(0, attempts));
    let Some(spent) = processor_time().map(|after| after - before) else { return };
    println!("attempts: {:.1} million per second of processor time", attempts as f64 * 1e3 / spent as f64);
}

fn searches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search");
    group.sample_size(20).measurement_time(Duration::from_secs(15));
    for bits in [16, 20] {
        // Each search is another one: how long it takes is chance, and the mean is what counts.
        let mut nonce = 0;
        group.bench_function(BenchmarkId::from_parameter(bits), |bencher| {
            bencher.iter(|| {
                nonce += 1;
                solve(&puzzle(bits, nonce))
            });
        });
    }
    group.finish();
}

fn long_searches(_: &mut Criterion) {
    let mut seconds: Vec<f64> = (0..LONG_SEARCHES)
        .map(|nonce| {
            let start = Instant::now();
            black_box(solve(&puzzle(24, nonce)));
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    println!("search/24: {LONG_SEARCHES} searches, mean {mean:.2} s, all {seconds:.2?}");
}

criterion_group!(benches, check, attempts, attempts_per_processor_second, searches, long_searches);
criterion_main!(benches);
