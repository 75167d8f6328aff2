//! The smoke run: each target over its seeds, over what the fuzzer found of worth and over what once broke a law, and
//! over random mutations of all of these. Where a law is broken, the input is shown, and the seed that leads to it.
//!
//! The seed is fixed, so that a run that passes passes again; `CONCLAVE_FUZZ_SEED` and `CONCLAVE_FUZZ_ROUNDS` take the run
//! elsewhere and further.

#![allow(clippy::unwrap_used)]

use conclave_fuzz_targets::{TARGETS, seeds};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
};

/// Mutations of a target: fewer where each is a whole node's life, or a file of four megabytes.
fn rounds(target: &str) -> u64 {
    match target {
        "log" => 10,
        "node" => 60,
        "consensus" => 150,
        _ => 300,
    }
}

/// Longest input that mutations make.
const MAX_BYTES: usize = 2 << 10;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} is no number")))
}

/// The inputs in `fuzz/seeds`, in the order of their names.
fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds").join(target);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// Changes an input as a fuzzer does that knows nothing.
fn mutated(mut bytes: Vec<u8>, others: &[(String, Vec<u8>)], random: &mut ChaCha20Rng) -> Vec<u8> {
    let draw = |random: &mut ChaCha20Rng, below: usize| random.next_u64() as usize % below.max(1);
    for _ in 0..=draw(random, 6) {
        let (place, length) = (draw(random, bytes.len() + 1), draw(random, 16));
        match draw(random, 7) {
            0 if place < bytes.len() => bytes[place] ^= 1 << draw(random, 8),
            1 if place < bytes.len() => bytes[place] = random.next_u32() as u8,
            2 if place < bytes.len() => bytes[place] = [0, 1, 0x7f, 0x80, 0xff][draw(random, 5)],
            3 => bytes.truncate(place),
            4 => drop(bytes.drain(place..(place + length).min(bytes.len()))),
            5 => drop(bytes.splice(place..place, (0..length * 4).map(|_| random.next_u32() as u8))),
            _ => {
                let other = &others[draw(random, others.len())].1;
                let from = draw(random, other.len() + 1);
                bytes.truncate(place);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

fn run(target: fn(&[u8]), bytes: &[u8], whence: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("a law is broken by {whence}, these {} bytes: {hexadecimal}", bytes.len());
        resume_unwind(panic);
    }
}

fn smoke(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let seed = setting("CONCLAVE_FUZZ_SEED", 1);
    let rounds = setting("CONCLAVE_FUZZ_ROUNDS", rounds(name));
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let made = seeds::all().into_iter().filter(|(of, _)| *of == name);
    let mut inputs: Vec<(String, Vec<u8>)> = made.map(|(_, bytes)| ("a seed".to_owned(), bytes)).collect();
    inputs.extend(files(name));
    inputs.push(("nothing".into(), Vec::new()));
    // For machines any bytes are inputs.
    for length in [16, 64, 256, 1024] {
        inputs.push(("random bytes".into(), (0..length).map(|_| random.next_u32() as u8).collect()));
    }
    for (whence, bytes) in &inputs {
        run(*target, bytes, whence);
    }
    for round in 0..rounds {
        let (_, bytes) = &inputs[random.next_u64() as usize % inputs.len()];
        let bytes = mutated(bytes.clone(), &inputs, &mut random);
        run(*target, &bytes, &format!("mutation {round} of the run with CONCLAVE_FUZZ_SEED={seed}"));
    }
}

/// A test for each target, so that they run side by side and a failure has a name; together they are all targets.
macro_rules! smoke_tests {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                smoke(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_its_smoke_run_and_its_program() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
            assert_eq!(manifest.matches("[[bin]]").count(), names.len());
            for name in names {
                assert!(manifest.contains(&format!("name = \"{name}\"\n")), "fuzz/Cargo.toml has no program {name}");
                let program = fs::read_to_string(fuzz.join("fuzz_targets").join(format!("{name}.rs"))).unwrap();
                assert!(program.contains(&format!("::{name}(bytes)")), "{program}");
            }
        }
    };
}

smoke_tests!(
    ledger,
    messages,
    peer_records,
    admission,
    announcements,
    consensus,
    dissemination,
    gather,
    handshake,
    known_peers,
    mining,
    peer_exchange,
    sync,
    node,
    texts,
    chat,
    archive,
    log,
    frames,
    rendezvous,
    gossip_api,
);
